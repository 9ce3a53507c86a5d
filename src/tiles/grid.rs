//! How a picture is cut into tiles whose gradients add up to the picture's own (Gonthier, Gousseau, Ladjal, "High
//! resolution neural texture synthesis with long range constraints", 2022, and SPST, "Scaling Painting Style Transfer",
//! 2023, tile with a halo and keep the inner part of the gradient).
//!
//! Here every pixel of every map belongs to one tile, which sees it with all that it depends on, and the gradients of
//! overlapping tiles are *added*. So a halo is as wide as the network looks, not twice that. All tiles have one
//! size, so that one recording serves all: those at the edges are moved inwards. Their origins are multiples of the
//! network's stride, and their sides leave the same remainder as the picture's, so that pools meet the same pixels
//! and drop the same rest.

use std::ops::Range;

use crate::error::{Error, Knob, Result};
use crate::nets::{Chain, Reach};

/// One axis of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where the tile begins.
    pub origin: usize,
    /// What belongs to it, a part of the tile.
    pub own: Range<usize>,
}

impl Span {
    /// The tile's own part in a map of a picture that is `length` long, counted from the tile's origin.
    pub fn own_at(&self, chain: &Chain, length: usize) -> Range<usize> {
        let (own, origin) = (chain.span(&self.own, length), self.origin_at(chain));
        own.start - origin..own.end - origin
    }

    /// Where the tile begins in a map.
    pub fn origin_at(&self, chain: &Chain) -> usize {
        let (map, picture) = chain.ratio();
        self.origin * map / picture
    }
}

/// The tiles of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Width and height of the picture.
    pub size: (usize, usize),
    /// Width and height of every tile, halo included.
    pub tile: (usize, usize),
    columns: Vec<Span>,
    rows: Vec<Span>,
}

impl Grid {
    /// The tiles of a picture of `size` whose sides are at most `most`.
    ///
    /// # Errors
    /// [`Error::Memory`] when that leaves nothing between the halos.
    pub fn new(size: (u32, u32), most: usize, reach: Reach) -> Result<Self> {
        let size = (size.0 as usize, size.1 as usize);
        // What compares neighbouring pixels looks one far.
        let reach = Reach { halo: reach.halo.max(1), ..reach };
        let (width, columns) = axis(size.0, most, reach)?;
        let (height, rows) = axis(size.1, most, reach)?;
        Ok(Grid { size, tile: (width, height), columns, rows })
    }

    /// The smallest limit that works for every picture.
    pub fn least(reach: Reach) -> usize {
        2 * reach.halo.max(1).next_multiple_of(reach.stride) + 2 * reach.stride
    }

    /// Column and row of every tile.
    pub fn tiles(&self) -> impl Iterator<Item = (&Span, &Span)> {
        self.rows.iter().flat_map(|row| self.columns.iter().map(move |column| (column, row)))
    }

    /// Number of tiles.
    pub fn count(&self) -> usize {
        self.columns.len() * self.rows.len()
    }

    /// Pixels that are computed for each of the picture.
    pub fn overhead(&self) -> f64 {
        let area = |(w, h): (usize, usize)| w as f64 * h as f64;
        self.count() as f64 * area(self.tile) / area(self.size)
    }
}

/// The side of the tiles and where they lie: the fewest, and the smallest of that number.
fn axis(length: usize, most: usize, reach: Reach) -> Result<(usize, Vec<Span>)> {
    if length <= most {
        return Ok((length, vec![Span { origin: 0, own: 0..length }]));
    }
    let Reach { stride, halo } = reach;
    let (cells, rest) = (length / stride, length % stride);
    let halo = halo.div_ceil(stride);
    let most_cells = most.saturating_sub(rest) / stride;
    if most_cells <= 2 * halo {
        return Err(Error::Memory(format!(
            "tiles of {most} px are too small: the network looks {} px far on each side, so give {} {} or more, or fewer {}",
            reach.halo,
            Knob::Tile,
            Grid::least(reach),
            Knob::Octaves
        )));
    }
    // The first and the last own all but one halo, those between all but two.
    let own = most_cells - 2 * halo;
    let count = (cells - 2 * halo).div_ceil(own).max(2);
    let side = (cells - 2 * halo).div_ceil(count) + 2 * halo;
    let step = side - 2 * halo;
    let span = |k: usize| {
        let last = k + 1 == count;
        let origin = (k * step).min(cells - side) * stride;
        let start = if k == 0 { 0 } else { (k * step + halo) * stride };
        let end = if last { length } else { ((k + 1) * step + halo) * stride };
        Span { origin, own: start..end }
    };
    Ok((side * stride + rest, (0..count).map(span).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_belongs_to_one_tile_that_sees_far_enough() {
        for (stride, halo) in [(1, 0), (1, 1), (4, 14), (8, 30), (16, 70)] {
            let reach = Reach { stride, halo };
            for length in (1..400).chain([1000, 4093]) {
                for most in [Grid::least(reach), Grid::least(reach) + 5, 256, 300] {
                    let Ok((side, spans)) = axis(length, most, reach) else {
                        panic!("{most} px are enough for {reach:?}");
                    };
                    assert!(side <= most.max(length.min(most)) && side <= length);
                    assert_eq!(side % stride, length % stride);
                    let mut next = 0;
                    for Span { origin, own } in &spans {
                        assert_eq!((own.start, origin % stride), (next, 0));
                        assert!(own.end > own.start, "{length} {most} {reach:?} {spans:?}");
                        next = own.end;
                        let end = origin + side;
                        assert!(*origin == 0 || origin + halo <= own.start);
                        assert!(end == length || own.end + halo <= end);
                        assert!(end <= length);
                    }
                    assert_eq!(next, length);
                }
            }
        }
    }

    #[test]
    fn too_small_tiles_say_what_is_enough() {
        let reach = Reach { stride: 16, halo: 70 };
        let what = Grid::new((1000, 100), 160, reach).map(drop).expect_err("too small").to_string();
        assert!(what.contains("‹tile› 192"), "{what}");
        assert!(Grid::new((1000, 1000), 192, reach).is_ok());
    }
}

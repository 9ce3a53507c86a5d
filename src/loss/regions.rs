//! Regions: parts of the picture that are painted in styles of their own, and parts of style pictures that count
//! (Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017, section 4).
//!
//! A region's moments are weighted means: with w a pixel's weight in a layer, G = Σ w·F·Fᵀ / Σ w. A deep layer's
//! pixel sees far beyond its own place, so its weight is the mean of the mask over half of what it sees on each side:
//! edges are the softer the deeper the layer.

use std::collections::BTreeMap;

use crate::error::{Error, Knob, Result};
use crate::nets::{Chain, Graph};
use crate::picture::{Picture, mirrored, resized_plane, with_border};
use crate::shape::Wrap;

/// How much each pixel belongs to a region, from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    size: (u32, u32),
    plane: Vec<f32>,
}

impl Mask {
    /// The mask of a picture with such a border ([`Picture::with_border`]).
    #[must_use]
    pub fn with_border(&self, border: (u32, u32)) -> Mask {
        let size = (self.size.0 + 2 * border.0, self.size.1 + 2 * border.1);
        Mask { size, plane: with_border(&self.plane, self.size, border, mirrored) }
    }

    /// White belongs, black and transparent do not.
    #[must_use]
    pub fn of(picture: &Picture) -> Self {
        let planes = picture.rgb().chunks_exact(picture.rgb().len() / 3);
        let mut plane = vec![0.0; picture.rgb().len() / 3];
        for colour in planes {
            plane.iter_mut().zip(colour).for_each(|(sum, value)| *sum += value / 3.0);
        }
        if let Some(alpha) = picture.alpha() {
            plane.iter_mut().zip(alpha).for_each(|(value, alpha)| *value *= alpha);
        }
        plane.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        Mask { size: picture.size(), plane }
    }

    /// Stands for a mask of that size where memory is planned: there are no numbers.
    pub(crate) fn planned(size: (u32, u32)) -> Self {
        Mask { size, plane: Vec::new() }
    }

    /// The same for a picture of another size, some of whose edges may meet.
    #[must_use]
    pub fn resized(&self, size: (u32, u32), wrap: Wrap) -> Self {
        if size == self.size {
            return self.clone();
        }
        let mut plane = resized_plane(&self.plane, self.size, size, wrap);
        plane.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        Mask { size, plane }
    }

    /// That something is left of it at every tap, for a picture of `size`.
    ///
    /// # Errors
    /// [`Error::Picture`] with the first tap at which there is not, and the way out.
    pub fn check(&self, graph: &Graph, taps: &[&str], size: (u32, u32)) -> Result<()> {
        Guides::new(graph, taps, &[self.resized(size, graph.wrap())]).map(drop)
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The part of the picture that belongs, from 0 to 1.
    fn share(&self) -> f32 {
        let sum: f64 = self.plane.iter().map(|value| f64::from(*value)).sum();
        (sum / self.plane.len().max(1) as f64) as f32
    }

    /// H×W numbers from 0 to 1.
    #[must_use]
    pub fn plane(&self) -> &[f32] {
        &self.plane
    }

    /// The mask's mean over `radius` pixels around what each pixel of a map stands for.
    fn seen(&self, chain: &Chain, radius: usize, wrap: Wrap) -> Vec<f32> {
        let (map, picture) = chain.ratio();
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let means = |plane: &[f32], length, wraps| {
            means(plane, (length, chain.output(length)), (picture / map).max(1), (radius, wraps))
        };
        let rows = means(&self.plane, width, wrap.x());
        let columns = means(&transposed(&rows, chain.output(width)), height, wrap.y());
        transposed(&columns, chain.output(height))
    }
}

/// For every line of `length` numbers `count` means, of one `cell` after the other and `radius` numbers on each side of
/// it, as far as the line goes, or around where its ends meet.
fn means(
    plane: &[f32],
    (length, count): (usize, usize),
    cell: usize,
    (radius, wraps): (usize, bool),
) -> Vec<f32> {
    let mut means = Vec::with_capacity(plane.len() / cell);
    for line in plane.chunks_exact(length) {
        let mut sums = Vec::with_capacity(length + 1);
        sums.push(0.0);
        line.iter().fold(0.0f64, |sum, value| {
            sums.push(sum + f64::from(*value));
            sum + f64::from(*value)
        });
        means.extend((0..count).map(|at| {
            if wraps {
                // From so many lines before, so that no place lies below 0.
                let before = radius.div_ceil(length) * length;
                let (from, to) = (before + at * cell - radius, before + (at + 1) * cell + radius);
                let up_to = |end: usize| (end / length) as f64 * sums[length] + sums[end % length];
                return ((up_to(to) - up_to(from)) / (to - from) as f64) as f32;
            }
            let (from, to) =
                ((at * cell).saturating_sub(radius), length.min((at + 1) * cell + radius));
            ((sums[to] - sums[from]) / (to - from) as f64) as f32
        }));
    }
    means
}

fn transposed(plane: &[f32], width: usize) -> Vec<f32> {
    let height = plane.len() / width.max(1);
    (0..plane.len()).map(|at| plane[at % height * width + at / height]).collect()
}

/// The masks of a scene; without any, every pixel counts.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    /// Those of the content: as many as styles, each of which paints one; or one, which all paint together.
    pub content: Vec<Mask>,
    /// Those of the styles: none, or one for each.
    pub style: Vec<Mask>,
}

impl Regions {
    /// Everything counts everywhere.
    pub const ALL: &'static Regions = &Regions { content: Vec::new(), style: Vec::new() };

    /// Which styles paint which region, by index.
    ///
    /// # Errors
    /// As [`Regions::pairs`].
    pub fn styles(&self, styles: usize) -> Result<Vec<Vec<usize>>> {
        Self::pairs(self.content.len(), self.style.len(), styles)
    }

    /// Which of so many styles paint which of so many regions, by index.
    ///
    /// # Errors
    /// [`Error::Usage`] when there are neither as many masks as styles nor one, or masks for some of the styles.
    pub fn pairs(masks: usize, style_masks: usize, styles: usize) -> Result<Vec<Vec<usize>>> {
        if ![0, styles].contains(&style_masks) {
            return Err(Error::Usage(format!(
                "{}: {style_masks} for {styles} styles; give one for each, in the same order",
                Knob::StyleMask
            )));
        }
        match masks {
            0 | 1 => Ok(vec![(0..styles).collect()]),
            _ if masks == styles => Ok((0..styles).map(|style| vec![style]).collect()),
            _ => Err(Error::Usage(format!(
                "{}: {masks} for {styles} styles; give one for each, in the same order, or one for all",
                Knob::Mask
            ))),
        }
    }

    /// All masks of the content together, for a picture of `size`, some of whose edges may meet; `None` where everything is
    /// painted.
    #[must_use]
    pub fn union(&self, size: (u32, u32), wrap: Wrap) -> Option<Mask> {
        let mut masks = self.content.iter().map(|mask| mask.resized(size, wrap));
        let mut union = masks.next()?;
        for mask in masks {
            let sum = union.plane.iter_mut().zip(&mask.plane);
            sum.for_each(|(sum, value)| *sum = (*sum + value).min(1.0));
        }
        Some(union)
    }

    /// A region's share of the picture.
    pub(crate) fn share(&self, region: usize) -> f32 {
        self.content.get(region).map_or(1.0, Mask::share)
    }

    /// The smallest part of a picture that a mask leaves; 1 without masks.
    #[must_use]
    pub fn least_share(&self) -> f32 {
        self.content.iter().chain(&self.style).map(Mask::share).fold(1.0, f32::min)
    }

    /// The same for a picture of `size`, some of whose edges may meet, and styles of theirs.
    #[must_use]
    pub fn resized(
        &self,
        (size, wrap): ((u32, u32), Wrap),
        styles: impl Iterator<Item = (u32, u32)>,
    ) -> Self {
        let content = self.content.iter().map(|mask| mask.resized(size, wrap)).collect();
        let style = self.style.iter().zip(styles);
        let style = style.map(|(mask, size)| mask.resized(size, Wrap::None)).collect();
        Regions { content, style }
    }
}

/// A picture's guides: how much the pixels of its layers count in each region. Empty where all count.
pub(crate) struct Guides(BTreeMap<(String, usize), Guide>);

/// How much the pixels of a layer count.
pub(crate) struct Guide {
    /// 1×H×W.
    pub shape: [usize; 3],
    /// The square roots of the weights.
    pub roots: Vec<f32>,
    sum: f64,
}

impl Guide {
    /// What makes sums over the region, divided by all pixels, means over the region.
    pub fn factor(&self) -> f32 {
        (self.roots.len() as f64 / self.sum) as f32
    }
}

impl Guides {
    /// None: all pixels count.
    pub fn all() -> Self {
        Guides(BTreeMap::new())
    }

    /// Those of `masks`, which have the picture's size, at `taps`.
    ///
    /// # Errors
    /// [`Error::Picture`] when nothing is left of a mask in some layer.
    pub fn new(graph: &Graph, taps: &[&str], masks: &[Mask]) -> Result<Self> {
        let mut guides = BTreeMap::new();
        for tap in taps {
            let map = graph.at(tap)?;
            for (region, mask) in masks.iter().enumerate() {
                let weights = mask.seen(&map.chain, graph.reach(&[tap]).halo / 2, graph.wrap());
                let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
                if sum < 1.0 && !mask.plane.is_empty() {
                    let (width, height) = mask.size();
                    return Err(Error::Picture {
                        name: format!("mask {}", region + 1),
                        what: format!(
                            "less than one pixel of {tap} is left of its white at {width}×{height} px: white must be \
                             larger, or the picture"
                        ),
                    });
                }
                let roots = weights.into_iter().map(f32::sqrt).collect();
                let (width, height) = mask.size();
                let (width, height) = map.size((width as usize, height as usize));
                let shape = [1, height, width];
                guides.insert((tap.to_string(), region), Guide { shape, roots, sum });
            }
        }
        Ok(Guides(guides))
    }

    /// The guide of a region at a tap; `None` where all pixels count.
    pub fn at(&self, tap: &str, region: usize) -> Option<&Guide> {
        self.0.get(&(tap.to_string(), region))
    }

    /// All of them, by layer and region.
    pub fn into_iter(self) -> impl Iterator<Item = ((String, usize), Guide)> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Depth;

    fn mask(size: (u32, u32), value: impl Fn(usize, usize) -> f32) -> Mask {
        let width = size.0 as usize;
        let plane: Vec<f32> =
            (0..width * size.1 as usize).map(|at| value(at % width, at / width)).collect();
        let rgb = plane.repeat(3);
        Mask::of(&Picture::from_planes(size, rgb, None, Depth::Eight).expect("planes fit"))
    }

    fn pools(count: usize) -> Chain {
        let pool = crate::nets::Step::Window { kernel: 2, stride: 2, padding: 0 };
        Chain::new(std::iter::repeat_n(pool, count))
    }

    #[test]
    fn deep_layers_see_soft_edges() {
        let half = mask((32, 20), |x, _| f32::from(u8::from(x < 16)));
        let sharp = half.seen(&pools(0), 0, Wrap::None);
        assert_eq!(sharp, half.plane());
        let soft = half.seen(&pools(2), 8, Wrap::None);
        assert_eq!(soft.len(), 8 * 5);
        let row = &soft[8..16];
        assert!(row.windows(2).all(|pair| pair[0] >= pair[1]), "{row:?}");
        assert_eq!((row[0], row[7]), (1.0, 0.0));
        // Cells 3 and 4 lie on either side of the edge.
        assert!((row[3] + row[4] - 1.0).abs() < 1e-6 && row[3] > 0.5, "{row:?}");
    }

    #[test]
    fn sides_that_do_not_divide_keep_their_rows_apart() {
        let ramp = mask((13, 7), |x, y| (x + 13 * y) as f32 / 91.0);
        let seen = ramp.seen(&pools(1), 0, Wrap::None);
        assert_eq!(seen.len(), 6 * 3);
        let mean = |x: usize, y: usize| {
            [(0, 0), (1, 0), (0, 1), (1, 1)]
                .iter()
                .map(|(i, j)| ramp.plane()[2 * x + i + 13 * (2 * y + j)])
                .sum::<f32>()
                / 4.0
        };
        for y in 0..3 {
            for x in 0..6 {
                assert!((seen[6 * y + x] - mean(x, y)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn masks_go_with_styles() {
        let some = |count| vec![mask((4, 4), |_, _| 1.0); count];
        let regions = |content, style| Regions { content: some(content), style: some(style) };
        assert_eq!(regions(0, 0).styles(2).expect("all"), [[0, 1]]);
        assert_eq!(regions(1, 2).styles(2).expect("one for all"), [[0, 1]]);
        assert_eq!(regions(2, 0).styles(2).expect("one each"), [[0], [1]]);
        assert!(regions(2, 0).styles(3).is_err() && regions(2, 0).styles(1).is_err());
        assert!(regions(0, 1).styles(2).is_err());
    }
}

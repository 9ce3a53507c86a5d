//! A border around a picture, in which its inside is mirrored, and pictures without it; planes with borders of any kind.

use super::Picture;

impl Picture {
    /// The picture with so many pixels more at its left and its right, and above and below: its inside, mirrored at the
    /// outermost pixels. A border wider than the picture goes to and fro in it.
    #[must_use]
    pub fn with_border(self, border: (u32, u32)) -> Picture {
        if border == (0, 0) {
            return self;
        }
        let of = |plane: &[f32]| with_border(plane, self.size(), border, mirrored);
        Picture {
            width: self.width + 2 * border.0,
            height: self.height + 2 * border.1,
            rgb: self.rgb.chunks_exact(self.rgb.len() / 3).flat_map(of).collect(),
            alpha: self.alpha.as_deref().map(of),
            depth: self.depth,
            metadata: self.metadata,
        }
    }

    /// The picture without so many of its outermost columns and rows on every side; something is left of every picture.
    #[must_use]
    pub fn without_border(self, (columns, rows): (u32, u32)) -> Picture {
        if (columns, rows) == (0, 0) {
            return self;
        }
        let (columns, rows) = (columns.min((self.width - 1) / 2), rows.min((self.height - 1) / 2));
        let (width, height) = (self.width - 2 * columns, self.height - 2 * rows);
        let of = |plane: &[f32]| -> Vec<f32> {
            let lines = plane.chunks_exact(self.width as usize).skip(rows as usize);
            let line = |line: &[f32]| line[columns as usize..][..width as usize].to_vec();
            lines.take(height as usize).flat_map(line).collect()
        };
        Picture {
            width,
            height,
            rgb: self.rgb.chunks_exact(self.rgb.len() / 3).flat_map(of).collect(),
            alpha: self.alpha.as_deref().map(of),
            depth: self.depth,
            metadata: self.metadata,
        }
    }
}

/// An H×W plane of that width and height with a border of so many columns and rows on each side. `place`: which pixel, of
/// a line's length, stands at a place counted from the border of that width.
pub(crate) fn with_border<T: Copy>(
    plane: &[T],
    (width, height): (u32, u32),
    (columns, rows): (u32, u32),
    place: impl Fn(u32, u32, u32) -> usize,
) -> Vec<T> {
    let columns: Vec<_> = (0..width + 2 * columns).map(|at| place(at, columns, width)).collect();
    let line = |row: u32| {
        let line = &plane[place(row, rows, height) * width as usize..];
        columns.iter().map(|column| line[*column])
    };
    (0..height + 2 * rows).flat_map(line).collect()
}

/// The border mirrors the inside.
pub(crate) fn mirrored(at: u32, border: u32, length: u32) -> usize {
    let (at, border, last) = (i64::from(at), i64::from(border), i64::from(length) - 1);
    // To and fro over a line of which neither end is repeated.
    let place = (at - border).rem_euclid((2 * last).max(1));
    place.min(2 * last - place).max(0) as usize
}

/// The border is the other side.
pub(crate) fn around(at: u32, border: u32, length: u32) -> usize {
    (i64::from(at) - i64::from(border)).rem_euclid(length.into()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Depth;

    #[test]
    fn the_inside_is_mirrored_and_comes_back() {
        let line = |length: u32, border: u32| -> Vec<usize> {
            (0..length + 2 * border).map(|at| mirrored(at, border, length)).collect()
        };
        assert_eq!(line(4, 2), [2, 1, 0, 1, 2, 3, 2, 1]);
        assert_eq!(line(2, 3), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(line(1, 2), [0; 5]);
        let turned: Vec<usize> = (0..8).map(|at| around(at, 2, 4)).collect();
        assert_eq!(turned, [2, 3, 0, 1, 2, 3, 0, 1]);
        assert_eq!([0, 1, 2].map(|at| around(at, 7, 3)), [2, 0, 1]);
        let rgb: Vec<f32> = (0..3 * 20).map(|i| i as f32 / 60.0).collect();
        let alpha = Some(rgb[..20].to_vec());
        let picture = Picture::from_planes((5, 4), rgb, alpha, Depth::Eight).expect("planes fit");
        for border in [(0, 0), (2, 3), (7, 0), (0, 9)] {
            let larger = picture.clone().with_border(border);
            assert_eq!(larger.size(), (5 + 2 * border.0, 4 + 2 * border.1));
            assert_eq!(larger.without_border(border), picture);
        }
        let larger = picture.clone().with_border((1, 1));
        // Above the corner's right neighbour stands the one below it; beyond the corner, the one diagonally inside.
        assert_eq!((larger.rgb()[1], larger.rgb()[0]), (picture.rgb()[5], picture.rgb()[6]));
        assert_eq!(picture.without_border((2, 9)).size(), (1, 2));
    }
}

//! Lanczos resampling, as Pillow's `LANCZOS`: three lobes, widened when shrinking so that nothing
//! aliases, weights normalised to one at the borders.
//!
//! It works in linear light, where the mean of two samples is what an eye far away sees of both: on coded values fine
//! bright detail gets darker as it shrinks. The curve is sRGB's whatever the picture's profile: those of other RGB
//! spaces in use are close to it, and what matters is that it is about right and exactly undone.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::Picture;
use super::border::{around, with_border};
use super::light::{to_code, to_linear, unit};
use crate::shape::{Wrap, fitted_size};

/// Below half an 8-bit step of alpha a pixel is invisible, and dividing by it only amplifies noise.
const INVISIBLE: f32 = 0.5 / 255.0;

impl Picture {
    /// The picture at `width` × `height` pixels (0 counts as 1), samples in 0..=1, resampled in linear light. The
    /// same size gives an exact copy.
    ///
    /// Where there is alpha, colours count by their alpha, so that what lies under transparent
    /// pixels does not bleed out. Where the result is transparent, its colour is the plain average.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Picture {
        self.resized_around(width, height, Wrap::None)
    }

    /// The same for a picture some of whose edges meet: beyond them, the resampling sees the other side, and the result's meet,
    /// too.
    #[must_use]
    pub fn resized_around(&self, width: u32, height: u32, wrap: Wrap) -> Picture {
        let to = (width.max(1), height.max(1));
        if to == self.size() {
            return self.clone();
        }
        let mut lanczos = Resampling::new(self.size(), to, FilterType::Lanczos3, wrap);
        let alpha = self.alpha.as_ref().map(|alpha| lanczos.plane(alpha.iter().copied()));
        let mut rgb = Vec::with_capacity(3 * to.0 as usize * to.1 as usize);
        for plane in self.planes() {
            let light = plane.iter().map(|&code| to_linear(code));
            let mut colour = lanczos.plane(light.clone());
            if let (Some(from), Some(to)) = (&self.alpha, &alpha) {
                let weighted = lanczos.plane(light.zip(from).map(|(c, a)| c * a));
                for ((colour, weighted), &alpha) in colour.iter_mut().zip(weighted).zip(to) {
                    if alpha > INVISIBLE {
                        *colour = weighted / alpha;
                    }
                }
            }
            rgb.extend(colour.into_iter().map(to_code));
        }
        Picture {
            width: to.0,
            height: to.1,
            rgb,
            alpha: alpha.map(|alpha| alpha.into_iter().map(unit).collect()),
            depth: self.depth,
            metadata: self.metadata.clone(),
        }
    }

    /// The picture scaled, up or down, to [`fitted_size`].
    #[must_use]
    pub fn fitted(&self, long_side: u32) -> Picture {
        let (width, height) = fitted_size(self.size(), long_side);
        self.resized(width, height)
    }

    /// The red, green and blue plane, H×W each.
    fn planes(&self) -> impl Iterator<Item = &[f32]> {
        self.rgb.chunks_exact(self.rgb.len() / 3)
    }
}

/// An H×W plane at another size, interpolated linearly, so that nothing leaves the range of its numbers.
pub(crate) fn resized_plane(
    plane: &[f32],
    from: (u32, u32),
    to: (u32, u32),
    wrap: Wrap,
) -> Vec<f32> {
    Resampling::new(from, to, FilterType::Bilinear, wrap).plane(plane.iter().copied())
}

struct Resampling {
    filter: FilterType,
    resizer: Resizer,
    from: (u32, u32),
    to: (u32, u32),
    /// Pixels of the other side that are put before and behind each row and each column, where edges meet.
    margins: (u32, u32),
}

impl Resampling {
    fn new(from: (u32, u32), to: (u32, u32), filter: FilterType, wrap: Wrap) -> Self {
        // A window reaches three pixels of the smaller picture at most, and starts within one.
        let margin =
            |wraps, from: u32, to: u32| if wraps { 4 * from.div_ceil(to).max(1) } else { 0 };
        let margins = (margin(wrap.x(), from.0, to.0), margin(wrap.y(), from.1, to.1));
        Self { filter, resizer: Resizer::new(), from, to, margins }
    }

    /// One H×W plane, resampled; not clamped.
    fn plane(&mut self, plane: impl Iterator<Item = f32>) -> Vec<f32> {
        let samples: Vec<F32> = plane.map(F32::new).collect();
        let ((width, height), (before, above)) = (self.from, self.margins);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(self.filter));
        let (options, size, samples) = match self.margins {
            (0, 0) => (options, self.from, samples),
            _ => (
                options.crop(before.into(), above.into(), width.into(), height.into()),
                (width + 2 * before, height + 2 * above),
                with_border(&samples, self.from, self.margins, around),
            ),
        };
        let mut resampled = TypedImage::<F32>::new(self.to.0, self.to.1);
        TypedImageRef::new(size.0, size.1, &samples)
            .ok()
            .and_then(|source| self.resizer.resize_typed(&source, &mut resampled, &options).ok())
            .expect("a picture's planes fit its size, and it has no side of 0");
        resampled.pixels().iter().map(|sample| sample.0).collect()
    }
}

//! Colour spaces: pictures are painted in the space of the content, and others are brought into it.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::Picture;
use super::light::unit;

/// Pixels that are converted at once.
const RUN: usize = 1 << 14;

impl Picture {
    /// The picture in the colour space of another one, whose profile it takes over. Colours that the space does not
    /// have are clipped to it.
    ///
    /// Without a profile a picture is sRGB; so is one whose profile can't be used (damaged, or not of RGB).
    #[must_use]
    pub fn into_space_of(mut self, other: &Picture) -> Picture {
        if self.metadata.icc != other.metadata.icc {
            let options = TransformOptions::default();
            let srgb = ColorProfile::new_srgb;
            let transform = match (self.profile(), other.profile()) {
                (None, None) => None,
                (from, to) => from
                    .unwrap_or_else(srgb)
                    .create_transform_f32(
                        Layout::Rgb,
                        &to.unwrap_or_else(srgb),
                        Layout::Rgb,
                        options,
                    )
                    .ok(),
            };
            if let Some(transform) = transform {
                self.convert(|from, to| transform.transform(from, to).is_ok());
            }
            self.metadata.icc = other.metadata.icc.clone();
        }
        self
    }

    /// The profile, if there is one that can be used.
    fn profile(&self) -> Option<ColorProfile> {
        let profile = ColorProfile::new_from_slice(self.metadata.icc.as_deref()?).ok()?;
        (profile.color_space == DataColorSpace::Rgb).then_some(profile)
    }

    /// Hands out colours pixel by pixel, a run at a time, and takes them back where `convert` says so.
    fn convert(&mut self, convert: impl Fn(&[f32], &mut [f32]) -> bool) {
        let pixels = self.rgb.len() / 3;
        let (red, rest) = self.rgb.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        let runs = red.chunks_mut(RUN).zip(green.chunks_mut(RUN)).zip(blue.chunks_mut(RUN));
        for ((red, green), blue) in runs {
            let pixels = red.iter().zip(green.iter()).zip(blue.iter());
            let from: Vec<f32> = pixels.flat_map(|((r, g), b)| [*r, *g, *b].map(unit)).collect();
            let mut to = vec![0.0; from.len()];
            if convert(&from, &mut to) {
                for (i, pixel) in to.chunks_exact(3).enumerate() {
                    (red[i], green[i], blue[i]) = (unit(pixel[0]), unit(pixel[1]), unit(pixel[2]));
                }
            }
        }
    }
}

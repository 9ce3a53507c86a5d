//! What a painting is to become.

use crate::loss::moments::StyleTraits;
use crate::loss::pixels::Pixels;
use crate::loss::regions::Regions;
use crate::loss::settings::LossSettings;

/// What a painting is to become.
#[derive(Clone, Copy)]
pub struct Aim<'a> {
    /// The content.
    pub content: Pixels<'a>,
    /// What was measured of the styles (`tiles::measure`), each with its weight in the blend.
    pub styles: &'a [(StyleTraits, f32)],
    /// Which parts of the picture the styles paint. Masks have the sizes of their pictures.
    pub regions: &'a Regions,
    /// The loss.
    pub loss: &'a LossSettings,
    /// The content's own style is measured in tiles of at most so many pixels, where it counts.
    pub tile: Option<usize>,
}

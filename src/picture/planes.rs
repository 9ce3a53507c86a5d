//! A picture in memory.

use super::metadata::Metadata;
use crate::error::{Error, Result};

/// How finely a picture's source was sampled, and so how finely it is written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 8 bits a sample, or fewer.
    Eight,
    /// 16 bits a sample, or more.
    Sixteen,
}

/// A picture in memory: planar, samples coded as in its file, straight alpha.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgb: Vec<f32>,
    pub(super) alpha: Option<Vec<f32>>,
    pub(super) depth: Depth,
    pub(super) metadata: Metadata,
}

impl Picture {
    /// Makes a picture from planes: `rgb` is 3×H×W (all red rows, then green, then blue), `alpha`
    /// H×W and straight. Samples are coded, sRGB unless a profile says otherwise, and meant to lie in
    /// 0..=1; what lies outside is kept, and clamped when the picture is resized or encoded. There is no metadata.
    ///
    /// # Errors
    /// [`Error::Shape`] when a side is zero or a plane's length does not fit the sides.
    pub fn from_planes(
        (width, height): (u32, u32),
        rgb: Vec<f32>,
        alpha: Option<Vec<f32>>,
        depth: Depth,
    ) -> Result<Self> {
        let fits = |len: usize, planes: u64| {
            let pixels = u64::from(width) * u64::from(height);
            pixels > 0 && pixels.checked_mul(planes) == Some(len as u64)
        };
        if !fits(rgb.len(), 3) || alpha.as_ref().is_some_and(|a| !fits(a.len(), 1)) {
            let alpha = alpha.map_or("no".to_owned(), |a| a.len().to_string());
            return Err(Error::Shape {
                op: "picture",
                what: format!(
                    "{} colour and {alpha} alpha samples do not make a picture of \
                     {width}×{height}: it has 3·H·W and H·W of them, and no side of 0",
                    rgb.len()
                ),
            });
        }
        let metadata = Metadata::default();
        Ok(Self { width, height, rgb, alpha, depth, metadata })
    }

    /// Width in pixels, at least 1.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// (width, height) in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The colour planes, 3×H×W, coded, 0..=1. Grey pictures have three equal planes.
    #[must_use]
    pub fn rgb(&self) -> &[f32] {
        &self.rgb
    }

    /// The alpha plane, H×W, straight, 0..=1; `None` where every pixel is opaque.
    #[must_use]
    pub fn alpha(&self) -> Option<&[f32]> {
        self.alpha.as_deref()
    }

    /// The precision of the source.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// The colour planes, the alpha plane and nothing else: what [`Picture::from_planes`] takes.
    #[must_use]
    pub fn into_planes(self) -> (Vec<f32>, Option<Vec<f32>>) {
        (self.rgb, self.alpha)
    }

    /// What the picture's file said about it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same picture with other metadata. Pixels stay as they are.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Picture {
        Picture { metadata, ..self }
    }
}

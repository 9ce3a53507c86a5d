//! Whose colours the result has, and what becomes of a painting before it is written.

use crate::error::names;
use crate::picture::{Picture, match_colours};

/// What is kept of the content's colours (Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer",
/// CVPR 2017, section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preserve {
    /// Nothing: the result has the style's colours.
    #[default]
    None,
    /// All of them: only light and dark are painted.
    Luma,
    /// Their mean and spread, which the styles are given before they are painted from.
    Histogram,
}

names!(
    Preserve,
    "what is kept of the colours,",
    Luma = "luma",
    Histogram = "histogram",
    None = "none"
);

impl Preserve {
    /// The style as it is painted from.
    pub fn style(self, style: Picture, content: &Picture) -> Picture {
        match self {
            Preserve::Histogram => match_colours(&style, content),
            Preserve::None | Preserve::Luma => style,
        }
    }
}

/// What becomes of a painting before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// It stays as it is.
    #[default]
    Painting,
    /// Only its luma is taken, in the content's colours.
    LumaOnly,
    /// Only its colours are taken, in the content's luma.
    ColourOnly,
}

impl Finish {
    /// The picture that is written, for a content of the painting's size.
    pub fn of(self, painting: Picture, content: &Picture) -> Picture {
        match self {
            Finish::Painting => painting,
            Finish::LumaOnly => {
                content.with_luma_of(&painting).with_metadata(painting.metadata().clone())
            }
            Finish::ColourOnly => painting.with_luma_of(content),
        }
    }
}

//! Whose colours the result has, and what becomes of a painting before it is written.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
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

impl Preserve {
    /// All, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Luma, Self::Histogram, Self::None];

    /// `luma`, `histogram` or `none`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Luma => "luma",
            Self::Histogram => "histogram",
        }
    }

    /// The style as it is painted from.
    pub fn style(self, style: Picture, content: &Picture) -> Picture {
        match self {
            Preserve::Histogram => match_colours(&style, content),
            Preserve::None | Preserve::Luma => style,
        }
    }
}

impl fmt::Display for Preserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preserve {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|preserve| preserve.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Usage(format!("`{name}` keeps no colours; choose one of {names}"))
        })
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

//! Whose colours the result has: `--preserve-color` and `--color-only`.

use clap::ValueEnum;
use impasto::picture::{Picture, match_colours};
use impasto::{Error, Result};

/// What is kept of the content's colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preserve {
    /// Nothing: the result has the style's colours
    None,
    /// All of them: only light and dark are painted
    Luma,
    /// Their mean and spread, which the styles are given before they are painted from
    Histogram,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It stays as it is.
    Painting,
    /// Only its luma is taken, in the content's colours.
    LumaOnly,
    /// Only its colours are taken, in the content's luma.
    ColourOnly,
}

impl Finish {
    /// What the flags ask for.
    pub fn new(preserve: Preserve, colour_only: bool) -> Result<Self> {
        match (preserve, colour_only) {
            (Preserve::Luma, true) => Err(Error::Usage(
                "--color-only takes the painting's colours and --preserve-color luma the content's: \
                 give one of them"
                    .into(),
            )),
            (_, true) => Ok(Finish::ColourOnly),
            (Preserve::Luma, false) => Ok(Finish::LumaOnly),
            (_, false) => Ok(Finish::Painting),
        }
    }

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

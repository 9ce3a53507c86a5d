//! Coarse to fine: a small picture gets the style's large shapes at a small part of the cost, and each larger one
//! only what is new at its size (Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017,
//! section 5; the sizes grow by √2 as in Crowson's style-transfer-pytorch).

use std::f64::consts::SQRT_2;
use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::shape::fitted_size;

/// Where nothing is said, the coarsest picture has such a long side, or up to √2 times as long a one. Starting smaller
/// costs more than it brings (`docs/OPTIMISERS.md`).
const COARSEST: u32 = 181;
/// How the size of the coarsest picture is given.
const PIXELS: &str = "px";
/// Sides of coarse pictures are multiples of this, so that rows stay aligned through the pools.
const MULTIPLE: u32 = 8;
/// More would start below any network's smallest picture.
const MOST: u32 = 16;

/// How many sizes to paint at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scales {
    /// As many as it takes to start with a long side of 184 to 256 px.
    #[default]
    Auto,
    /// As many as it takes to start with a long side of so many pixels, or less than √2 times as many (at most 16).
    From(u32),
    /// So many, the last one included; 1 is the size asked for only.
    Count(u32),
}

/// `auto`, a size such as `128px`, or a number from 1.
impl FromStr for Scales {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let pixels = text.strip_suffix(PIXELS).and_then(|side| side.parse().ok());
        match (pixels, text.parse()) {
            (Some(side), _) if side > 0 => Ok(Scales::From(side)),
            (None, Ok(count)) if (1..=MOST).contains(&count) => Ok(Scales::Count(count)),
            _ if text == "auto" => Ok(Scales::Auto),
            _ => {
                let what = format!(
                    "`{text}` is no number of scales; give auto, 1 to {MOST}, or where to start, such as 128px"
                );
                Err(Error::Usage(what))
            }
        }
    }
}

impl fmt::Display for Scales {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scales::Auto => write!(f, "auto"),
            Scales::From(side) => write!(f, "{side}{PIXELS}"),
            Scales::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Scales {
    /// The sizes, from coarse to fine; the last is `size`. Sizes that `usable` refuses are left out.
    pub fn sizes(self, size: (u32, u32), usable: impl Fn((u32, u32)) -> bool) -> Vec<(u32, u32)> {
        let long = f64::from(size.0.max(size.1));
        let from = |side: u32| 1 + (2.0 * (long / f64::from(side)).log2()).floor().max(0.0) as u32;
        let count = match self {
            Scales::Count(count) => count,
            Scales::From(side) => from(side).min(MOST),
            Scales::Auto => from(COARSEST),
        };
        let coarse = (1..count).rev().map(|halvings| {
            let smaller = (long / SQRT_2.powi(halvings as i32)).round() as u32;
            coarse(size, smaller)
        });
        let smaller = |now: &(u32, u32)| *now != size && now.0 <= size.0 && now.1 <= size.1;
        let mut sizes: Vec<_> = coarse.filter(|now| smaller(now) && usable(*now)).collect();
        sizes.push(size);
        // Rounded, small ones may be the same.
        sizes.dedup();
        sizes
    }
}

/// `size` with another long side, in multiples.
fn coarse(size: (u32, u32), long_side: u32) -> (u32, u32) {
    let (width, height) = fitted_size(size, long_side);
    let rounded = |side: u32| ((side + MULTIPLE / 2) / MULTIPLE).max(1) * MULTIPLE;
    (rounded(width), rounded(height))
}

/// The size of a style picture of `style` px while the picture has `now` px on its way to `last`.
pub fn style_size(style: (u32, u32), now: (u32, u32), last: (u32, u32)) -> (u32, u32) {
    if now == last {
        return style;
    }
    let share = f64::from(now.0.max(now.1)) / f64::from(last.0.max(last.1));
    coarse(style, (f64::from(style.0.max(style.1)) * share).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_by_the_root_of_two_up_to_the_one_asked_for() {
        let sizes = |scales: Scales, size| scales.sizes(size, |_| true);
        assert_eq!(sizes(Scales::Auto, (384, 288)), [(192, 144), (272, 208), (384, 288)]);
        assert_eq!(sizes(Scales::From(128), (384, 288))[..2], [(136, 104), (192, 144)]);
        assert_eq!(sizes(Scales::Auto, (301, 450)).last(), Some(&(301, 450)));
        assert_eq!(sizes(Scales::Auto, (512, 512))[0], (184, 184));
        assert_eq!(sizes(Scales::Auto, (4096, 3072)).len(), 10);
        assert_eq!(sizes(Scales::From(1), (4096, 3072)).len(), 16);
        assert_eq!(sizes(Scales::Auto, (100, 60)), [(100, 60)]);
        assert_eq!(sizes(Scales::Count(1), (4096, 3072)), [(4096, 3072)]);
        assert_eq!(sizes(Scales::Count(3), (96, 64)), [(48, 32), (72, 48), (96, 64)]);
        assert_eq!(sizes(Scales::Count(16), (96, 64))[..3], [(8, 8), (16, 8), (24, 16)]);
        assert_eq!(sizes(Scales::Auto, (400, 3)), [(400, 3)]);
        let usable = |size: (u32, u32)| size.1 >= 60;
        assert_eq!(Scales::Count(3).sizes((96, 64), usable), [(96, 64)]);
    }

    #[test]
    fn styles_follow() {
        assert_eq!(style_size((512, 300), (256, 192), (512, 384)), (256, 152));
        assert_eq!(style_size((511, 301), (512, 384), (512, 384)), (511, 301));
    }

    #[test]
    fn only_numbers_sizes_and_auto() {
        assert_eq!("auto".parse::<Scales>().ok(), Some(Scales::Auto));
        assert_eq!("3".parse::<Scales>().ok(), Some(Scales::Count(3)));
        assert_eq!("128px".parse::<Scales>().ok(), Some(Scales::From(128)));
        assert_eq!(Scales::From(128).to_string(), "128px");
        for wrong in ["0", "17", "-1", "many", "", "0px", "px", "-1px", "1.5px"] {
            assert!(wrong.parse::<Scales>().is_err());
        }
    }
}

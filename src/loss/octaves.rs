//! How many octaves of the picture are looked at, and how much each of them counts.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// More would be smaller than any picture.
const MOST: u32 = 12;

/// A number of octaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Octaves {
    /// As many as have weights, as far as the network can see them.
    #[default]
    Auto,
    /// So many; 1 is the picture's full size alone.
    Count(u32),
}

impl Octaves {
    /// Weights for so many octaves, of those that were given: the last serves for what follows.
    pub fn weights(self, mut given: Vec<f32>) -> Vec<f32> {
        if let Octaves::Count(count) = self {
            given.resize(count as usize, given.last().copied().unwrap_or(1.0));
        }
        given
    }
}

/// `auto`, or a number from 1.
impl FromStr for Octaves {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse() {
            Ok(count) if (1..=MOST).contains(&count) => Ok(Octaves::Count(count)),
            _ if text == "auto" => Ok(Octaves::Auto),
            _ => Err(Error::Usage(format!(
                "`{text}` is no number of octaves; give auto, or 1 to {MOST}"
            ))),
        }
    }
}

impl fmt::Display for Octaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Octaves::Auto => f.write_str("auto"),
            Octaves::Count(count) => write!(f, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octaves_are_auto_or_a_number() {
        for text in ["auto", "1", "4"] {
            assert_eq!(text.parse::<Octaves>().map(|o| o.to_string()).ok().as_deref(), Some(text));
        }
        for wrong in ["0", "-1", "13", "many", "", "1.5"] {
            assert!(wrong.parse::<Octaves>().is_err(), "{wrong}");
        }
        assert_eq!(Octaves::Auto.weights(vec![2.0, 1.0]), [2.0, 1.0]);
        assert_eq!(Octaves::Count(1).weights(vec![2.0, 1.0]), [2.0]);
        assert_eq!(Octaves::Count(4).weights(vec![2.0, 1.0]), [2.0, 1.0, 1.0, 1.0]);
    }
}

//! One error type for the whole crate. Every message says what is wrong, with which file, setting or
//! shape, and what to do about it. A setting is a [`Knob`]: each face of the program calls it by its own name, the
//! command line by that of its flag.

use std::fmt;

/// A setting that a message speaks of. In a message it stands as its name in `‹›`, such as `‹style-weight›`;
/// [`Error::told`] puts a face's word in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// The adapter.
    Adapter,
    /// The API through which it is reached.
    Backend,
    /// The file that keeps a run's state.
    Checkpoint,
    /// The factor of the content loss.
    ContentWeight,
    /// The optimiser's step size.
    Lr,
    /// The regions of the content.
    Mask,
    /// Bytes of GPU buffers.
    Memory,
    /// How many octaves of the picture are compared.
    Octaves,
    /// The optimiser.
    Optimizer,
    /// How maps are stored.
    Precision,
    /// What the network takes for a picture.
    Preprocess,
    /// The edges of the result that meet.
    Seamless,
    /// The long side of the result.
    Size,
    /// A style picture and its weight.
    Style,
    /// The parts of the styles that count.
    StyleMask,
    /// The long side of the styles.
    StyleSize,
    /// The factor of the style loss.
    StyleWeight,
    /// The longest side of a tile.
    Tile,
    /// The factor of the total variation.
    TvWeight,
}

impl Knob {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Adapter,
        Self::Backend,
        Self::Checkpoint,
        Self::ContentWeight,
        Self::Lr,
        Self::Mask,
        Self::Memory,
        Self::Octaves,
        Self::Optimizer,
        Self::Precision,
        Self::Preprocess,
        Self::Seamless,
        Self::Size,
        Self::Style,
        Self::StyleMask,
        Self::StyleSize,
        Self::StyleWeight,
        Self::Tile,
        Self::TvWeight,
    ];

    /// Its name, such as `style-weight`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Backend => "backend",
            Self::Checkpoint => "checkpoint",
            Self::ContentWeight => "content-weight",
            Self::Lr => "lr",
            Self::Mask => "mask",
            Self::Memory => "memory",
            Self::Octaves => "octaves",
            Self::Optimizer => "optimizer",
            Self::Precision => "precision",
            Self::Preprocess => "preprocess",
            Self::Seamless => "seamless",
            Self::Size => "size",
            Self::Style => "style",
            Self::StyleMask => "style-mask",
            Self::StyleSize => "style-size",
            Self::StyleWeight => "style-weight",
            Self::Tile => "tile",
            Self::TvWeight => "tv-weight",
        }
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹{}›", self.name())
    }
}

/// A message with a face's words for the settings in it.
pub fn told(message: &str, word: impl Fn(Knob) -> String) -> String {
    let spoken = |text: String, knob: Knob| text.replace(&knob.to_string(), &word(knob));
    Knob::ALL.into_iter().fold(message.to_owned(), spoken)
}

/// What can go wrong. `Display` is the line a user reads after `error: `.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Wrong from the command line alone (exit code 2); everything else exits with 1.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read or written.
    #[error("{path}: {what}")]
    File {
        /// The path as the user gave it.
        path: String,
        /// What is wrong and the way out.
        what: String,
    },
    /// Bytes that are no usable picture.
    #[error("{name}: {what}")]
    Picture {
        /// The picture's file name, or another name the caller knows it by.
        name: String,
        /// What is wrong and the way out.
        what: String,
    },
    /// Bytes that are no usable network, or a layer the network lacks.
    #[error("{name}: {what}")]
    Network {
        /// The network's file name, or `default`, or `random:vgg19`.
        name: String,
        /// What is wrong and the way out.
        what: String,
    },
    /// Tensors whose shapes do not fit an operation.
    #[error("{op}: {what}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Both shapes, and the rule they break.
        what: String,
    },
    /// No adapter at all, or none that was asked for.
    #[error("{0}")]
    NoAdapter(String),
    /// The driver refused something.
    #[error("the GPU reported an error: {0}")]
    Gpu(String),
    /// A buffer could not be allocated, or is larger than the adapter can bind.
    #[error("{0}")]
    Memory(String),
    /// The optimisation ran away.
    #[error("{0}")]
    Diverged(String),
    /// The system, or what else the program runs on, refused something.
    #[error("{0}")]
    System(String),
    /// The device went away while it worked.
    #[error("the GPU was lost: {0}")]
    DeviceLost(String),
}

impl Error {
    /// The message, with a face's words for the settings in it.
    pub fn told(&self, word: impl Fn(Knob) -> String) -> String {
        told(&self.to_string(), word)
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names of an enum's variants: `ALL` in the order in which messages list them, `name`, `Display` and `FromStr`, whose
/// error says what it names and which names there are.
macro_rules! names {
    ($of:ty, $what:literal, $($variant:ident = $name:literal),+) => {
        impl $of {
            /// All, in the order in which messages list them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// As flags and files spell it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $of {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $of {
            type Err = $crate::error::Error;

            fn from_str(name: &str) -> $crate::error::Result<Self> {
                let mut all = Self::ALL.into_iter();
                let known = all.find(|known| known.name().eq_ignore_ascii_case(name));
                known.ok_or_else(|| $crate::error::unknown($what, name, &[$($name),+]))
            }
        }
    };
}
pub(crate) use names;

/// That `what` has no such name.
pub(crate) fn unknown(what: &str, name: &str, names: &[&str]) -> Error {
    let choice = match names {
        [a, b] => format!("{a} or {b}"),
        _ => format!("one of {}", names.join(", ")),
    };
    Error::Usage(format!("{what} `{name}` is unknown; choose {choice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_has_words_of_its_own() {
        let error = Error::Memory(format!(
            "less {} or more {} than {}",
            Knob::Size,
            Knob::Memory,
            Knob::Size
        ));
        assert_eq!(error.to_string(), "less ‹size› or more ‹memory› than ‹size›");
        assert_eq!(
            error.told(|knob| format!("--{}", knob.name())),
            "less --size or more --memory than --size"
        );
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Pace {
        Slow,
        VeryFast,
    }
    names!(Pace, "pace", Slow = "slow", VeryFast = "very-fast");

    #[test]
    fn names_are_read_as_they_are_written() {
        for pace in Pace::ALL {
            assert_eq!(pace.to_string().parse::<Pace>().ok(), Some(pace));
        }
        assert_eq!("Very-Fast".parse::<Pace>().ok(), Some(Pace::VeryFast));
        let said = "fast".parse::<Pace>().map_err(|e| e.to_string());
        assert_eq!(said, Err("pace `fast` is unknown; choose slow or very-fast".into()));
        let said = unknown("pace", "fast", &["slow", "brisk", "quick"]).to_string();
        assert_eq!(said, "pace `fast` is unknown; choose one of slow, brisk, quick");
    }
}

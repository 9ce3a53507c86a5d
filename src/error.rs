//! One error type for the whole crate. Every message says what is wrong, with which file, flag or
//! shape, and what to do about it.

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
    /// The device went away while it worked.
    #[error("the GPU was lost: {0}")]
    DeviceLost(String),
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
                let known = Self::ALL.into_iter().find(|known| known.name() == name);
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

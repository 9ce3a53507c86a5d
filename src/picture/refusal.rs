//! How pictures are refused.

use crate::error::Error;

/// An error about the picture called `name`.
pub(super) fn refuse(name: &str, what: impl Into<String>) -> Error {
    Error::Picture { name: name.to_owned(), what: what.into() }
}

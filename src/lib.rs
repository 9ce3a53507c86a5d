//! impasto
#![warn(missing_docs)]
pub mod error;
pub mod gpu;
pub mod ops;
pub mod tape;
pub mod tensor;
pub use error::{Error, Result};

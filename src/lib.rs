//! impasto
#![warn(missing_docs)]
pub mod error;
pub mod gpu;
pub mod nets;
pub mod ops;
pub mod optim;
pub mod picture;
pub mod tape;
pub mod tensor;
pub mod transfer;
pub use error::{Error, Result};

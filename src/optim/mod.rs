//! What moves the picture: optimisers as dispatches at the end of a step.

pub mod adam;

pub use adam::{Adam, Moments};

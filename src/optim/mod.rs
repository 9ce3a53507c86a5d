//! What moves the picture: optimisers as dispatches at the end of a step.

pub mod adam;
pub mod state;

pub use adam::Adam;
pub use state::State;

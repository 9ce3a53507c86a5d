//! What moves numbers to a smaller loss: optimisers as dispatches at the end of a step, and the average of where they
//! have been.
//!
//! An [`Optimizer`] moves a list of tensors together, one picture or all weights of a network: one clock, one rate, one
//! loss. The rate is a tensor ([`Optimizer::rate`]), so a schedule rewrites a number between replays and nothing is
//! recorded again. In a batch, whose replays add to the gradients, the optimiser is recorded for the last replay
//! ([`Program::submit_in_batch`](crate::gpu::Program::submit_in_batch)).

pub mod adam;
pub mod average;
pub mod lbfgs;
mod optimizer;
mod settings;
pub mod state;
mod step;

pub use adam::{Adam, Betas};
pub use average::Average;
pub use lbfgs::Lbfgs;
pub use optimizer::{Optimizer, Variable};
pub use settings::{Method, OptimizerSettings};
pub use state::State;

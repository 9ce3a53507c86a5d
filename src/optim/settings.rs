//! Which optimiser, and how it moves numbers.

use super::adam::Betas;

/// How numbers are moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    /// The optimiser.
    pub method: Method,
    /// About how far a number moves in a step: Adam's step size, and the root mean square of L-BFGS's first trial.
    /// [`Optimizer::rate`](super::Optimizer::rate) begins with it.
    pub rate: f32,
    /// Where numbers may go, from least to most: a picture's lie in 0..1, weights anywhere.
    pub bounds: Option<(f32, f32)>,
    /// Whether the result is the average of the iterates.
    pub average: bool,
}

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// See [`Adam`](super::Adam).
    Adam(Betas),
    /// See [`Lbfgs`](super::Lbfgs).
    Lbfgs {
        /// Pairs of vectors that it remembers, at least 1.
        history: usize,
    },
}

impl Method {
    /// Adam for pictures.
    pub const ADAM: Method = Method::Adam(Betas::PICTURE);
}

impl OptimizerSettings {
    /// Adam for weights, with that step size: no bounds.
    pub fn adam(rate: f32) -> Self {
        let method = Method::Adam(Betas::WEIGHTS);
        OptimizerSettings { method, rate, bounds: None, average: false }
    }
}

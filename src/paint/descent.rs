//! How a picture is moved, and when that ends.

use crate::optim::{Adam, Lbfgs, Method, OptimizerSettings};

/// How a picture is moved to a smaller loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// The optimiser.
    pub method: Method,
    /// About how far a number of the picture, which lies in 0..1, moves in a step: Adam's step size, and the root
    /// mean square of L-BFGS's first trial.
    pub lr: f32,
    /// Whether the result is the average of the iterates.
    pub average: bool,
    /// Ends where the loss has become flat, by this share: see [`Flat`](super::Flat).
    pub flat: Option<f32>,
    /// Adam's step size where the picture is painted in tiles and the method needs all of it: Adam takes its place
    /// there. Without, such a picture is an error.
    pub in_tiles: Option<f32>,
}

/// L-BFGS, and Adam in tiles.
impl Default for Descent {
    fn default() -> Self {
        let method = Method::Lbfgs { history: Lbfgs::HISTORY };
        let in_tiles = Some(Adam::LR);
        Descent { method, lr: Lbfgs::LR, average: false, flat: None, in_tiles }
    }
}

impl Descent {
    /// Adam with that step size, all its steps.
    pub fn adam(lr: f32) -> Self {
        Descent { method: Method::ADAM, lr, in_tiles: None, ..Descent::default() }
    }

    /// Whether every number of a picture is moved for itself, so that it can be moved piece by piece.
    pub fn is_by_pieces(&self) -> bool {
        matches!(self.method, Method::Adam(_))
    }

    /// How a picture is moved that is painted in tiles; `None` where it can't be.
    pub fn by_pieces(&self) -> Option<Self> {
        let adam = |lr| Descent { method: Method::ADAM, lr, ..*self };
        if self.is_by_pieces() { Some(*self) } else { self.in_tiles.map(adam) }
    }

    /// The optimiser of a picture, whose numbers lie in 0..1.
    pub fn optimizer(&self) -> OptimizerSettings {
        let Descent { method, lr: rate, average, .. } = *self;
        OptimizerSettings { method, rate, bounds: Some((0.0, 1.0)), average }
    }
}

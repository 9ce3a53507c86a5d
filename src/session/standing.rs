//! Where a painting stands between two steps: what a session goes on from, in memory or from a checkpoint.

use serde::{Deserialize, Serialize};

use crate::paint::{Layout, LossRow, Start};

/// Where a painting stands, between two steps.
#[derive(Clone)]
pub struct Standing {
    /// Counted from 0, the coarsest.
    pub scale: usize,
    /// Steps taken at that scale.
    pub done: u64,
    /// What the next step starts from.
    pub start: Start,
    /// The kernels that were used so far; `None` before any were chosen.
    pub kernels: Option<Kernels>,
    /// How memory is used at every scale; empty before that is planned.
    pub layouts: Vec<Layout>,
}

/// Which kernels were used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// Adapter, driver and API, as [`crate::tune::device`] has it.
    pub device: String,
    /// The variants, as [`crate::tune::to_json`] gives them.
    pub choices: String,
}

/// A step's losses and where it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceRow {
    /// Counted from 0, the coarsest.
    pub scale: usize,
    /// The losses before the step's update.
    #[serde(flatten)]
    pub losses: LossRow,
}

impl Standing {
    /// Before the first step.
    pub fn first(start: Start) -> Self {
        Standing { scale: 0, done: 0, start, kernels: None, layouts: Vec::new() }
    }

    /// Steps taken in all.
    pub fn steps(&self) -> u64 {
        match &self.start {
            Start::Carried(carried) => carried.state.steps,
            _ => 0,
        }
    }
}

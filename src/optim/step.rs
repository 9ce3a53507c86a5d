//! What a method needs to record a step.

use crate::gpu::{Recorder, Tensor, Value};

/// A step of all variables.
pub(super) struct Step<'a> {
    pub recorder: &'a mut Recorder,
    pub tensors: &'a [Tensor],
    pub gradients: &'a [Value],
    pub rate: &'a Tensor,
    pub bounds: [f32; 2],
}

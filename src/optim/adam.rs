//! Adam on the GPU (Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1),
//! with the result clamped to the range of a picture.

use crate::error::Result;
use crate::gpu::{Call, Gpu, KernelId, Recorder, Shader, Value};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// The shader.
pub static SHADER: Shader = shader!("adam");
static TICK: KernelId = KernelId::new(&SHADER, "tick");
static UPDATE: KernelId = KernelId::new(&SHADER, "update");

/// The optimiser's settings and its state for one tensor.
pub struct Adam {
    /// Step size.
    lr: f32,
    clock: Tensor,
    mean: Tensor,
    square: Tensor,
}

impl Adam {
    /// Decay of the mean of gradients.
    pub const BETA1: f32 = 0.9;
    /// Decay of the mean of their squares.
    pub const BETA2: f32 = 0.99;
    /// Keeps the division finite.
    pub const EPSILON: f32 = 1e-8;

    /// The optimiser before its first step.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when the state is too large for the adapter.
    pub fn new(gpu: &Gpu, shape: &Shape, lr: f32) -> Result<Self> {
        let (mean, square) = (gpu.zeros(shape.clone())?, gpu.zeros(shape.clone())?);
        Ok(Adam { lr, clock: gpu.zeros([3])?, mean, square })
    }

    /// A tensor whose first number counts the steps taken.
    pub fn clock(&self) -> &Tensor {
        &self.clock
    }

    /// Records a step that moves `x` against `gradient` and clamps it to 0..1.
    ///
    /// # Errors
    /// As [`Recorder::kernel`].
    pub fn record(&self, recorder: &mut Recorder, x: &Tensor, gradient: &Value) -> Result<()> {
        let count = x.shape().elements();
        recorder.scope = "optimiser".into();
        let settings = |call: Call<'_>, elements| {
            let call = call.bind("clock", &(&self.clock).into()).set("count", count);
            let call = call.set("lr", self.lr).set("epsilon", Self::EPSILON);
            let call = call.set("beta1", Self::BETA1).set("beta2", Self::BETA2);
            call.set("low", 0.0).set("high", 1.0).over(elements)
        };
        settings(recorder.kernel(&TICK)?, 1)?;
        let call = recorder.kernel(&UPDATE)?.bind("x", &x.into()).bind("gradient", gradient);
        settings(call.bind("m", &(&self.mean).into()).bind("v", &(&self.square).into()), count)
    }
}

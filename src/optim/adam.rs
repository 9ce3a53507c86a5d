//! Adam on the GPU (Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1),
//! with the result clamped to the range of a picture.

use std::collections::BTreeMap;

use super::State;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, Gpu, KernelId, Recorder, Shader, Tensor, Value};
use crate::shape::Shape;

/// The shader.
pub static SHADER: Shader = shader!("adam");
static TICK: KernelId = KernelId::new(&SHADER, "tick");
static UPDATE: KernelId = KernelId::new(&SHADER, "update");

/// Names in a [`State`]: the clock (step, β₁ᵗ, β₂ᵗ), the mean of gradients and the mean of their squares.
const CLOCK: &str = "clock";
const MEAN: &str = "mean";
const SQUARE: &str = "square";

/// The optimiser's settings and its state for one tensor.
pub struct Adam {
    /// Step size.
    pub(super) lr: f32,
    clock: Tensor,
    mean: Tensor,
    square: Tensor,
}

impl Adam {
    /// A step size that suits pictures: smaller ones need more steps (`docs/OPTIMISERS.md`).
    pub const LR: f32 = 0.05;
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

    /// Bytes on the GPU for a tensor of that shape.
    pub fn bytes(shape: &Shape) -> u64 {
        2 * shape.bytes() + 12
    }

    /// Goes on from a state of another size, for a picture of `size`. A loss that is a mean over pixels has gradients
    /// in proportion to a pixel's share, so the moments follow it.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when it is no state of Adam's, and whatever the driver reported.
    pub fn resize(&self, gpu: &Gpu, state: &State, size: (u32, u32)) -> Result<()> {
        let numbers = Self::resized(state, size)?;
        self.tensors().iter().try_for_each(|(name, tensor)| gpu.write(tensor, &numbers[*name]))
    }

    /// What it knows for a picture of `size`, by name.
    pub(crate) fn resized(
        state: &State,
        size: (u32, u32),
    ) -> Result<BTreeMap<&'static str, Vec<f32>>> {
        if !state.tensors.contains_key(MEAN) {
            // Another optimiser's: only its steps count.
            let zeros = vec![0.0; 3 * size.0 as usize * size.1 as usize];
            let clock = vec![state.steps as f32, 1.0, 1.0];
            return Ok(BTreeMap::from([(CLOCK, clock), (MEAN, zeros.clone()), (SQUARE, zeros)]));
        }
        let area = |(w, h): (u32, u32)| f64::from(w) * f64::from(h);
        let share = (area(state.size) / area(size)) as f32;
        let mean = state.planes(MEAN, size, share)?;
        let square = state.planes(SQUARE, size, share * share)?;
        let clock = state.tensor(CLOCK)?.to_vec();
        Ok(BTreeMap::from([(CLOCK, clock), (MEAN, mean), (SQUARE, square)]))
    }

    /// Everything that it knows, by the names in a [`State`].
    pub(super) fn tensors(&self) -> [(&'static str, &Tensor); 3] {
        [(CLOCK, &self.clock), (MEAN, &self.mean), (SQUARE, &self.square)]
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
        settings(recorder.kernel(&TICK), 1)?;
        let call = recorder.kernel(&UPDATE).bind("x", &x.into()).bind("gradient", gradient);
        settings(call.bind("m", &(&self.mean).into()).bind("v", &(&self.square).into()), count)
    }
}

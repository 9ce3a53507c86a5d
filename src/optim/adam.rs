//! Adam on the GPU (Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1), with the result
//! clamped where there are bounds.

use super::state::{State, name_of};
use super::step::Step;
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, Gpu, KernelId, Shader, Tensor};
use crate::shape::Shape;

/// The shader.
pub static SHADER: Shader = shader!("adam");
static TICK: KernelId = KernelId::new(&SHADER, "tick");
static UPDATE: KernelId = KernelId::new(&SHADER, "update");

/// How long Adam remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Betas {
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of their squares.
    pub beta2: f32,
    /// Keeps the division finite.
    pub epsilon: f32,
}

impl Betas {
    /// For a picture: its gradients change slowly, so a short memory of their squares will do.
    pub const PICTURE: Betas = Betas { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
    /// For weights, whose gradients are noisy: those of the paper (section 2).
    pub const WEIGHTS: Betas = Betas { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
}

/// The optimiser's state for a list of tensors.
pub struct Adam {
    betas: Betas,
    clock: Tensor,
    /// For each tensor, the mean of gradients and the mean of their squares.
    means: Vec<(Tensor, Tensor)>,
}

impl Adam {
    /// A step size that suits pictures: smaller ones need more steps (`docs/OPTIMISERS.md`).
    pub const LR: f32 = 0.05;
    /// Names in a [`State`]: the clock (step, β₁ᵗ, β₂ᵗ), the mean of gradients and the mean of their squares.
    pub(crate) const CLOCK: &str = "clock";
    pub(crate) const MEAN: &str = "mean";
    pub(crate) const SQUARE: &str = "square";

    /// The optimiser before its first step.
    pub(super) fn new(gpu: &Gpu, shapes: &[Shape], betas: Betas) -> Result<Self> {
        let zeros = |shape: &Shape| Ok((gpu.zeros(shape.clone())?, gpu.zeros(shape.clone())?));
        let means = shapes.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Adam { betas, clock: gpu.zeros([3])?, means })
    }

    /// The clock after `steps` steps of another optimiser: they count, but there are no means yet.
    pub(crate) fn clock_after(steps: u64) -> [f32; 3] {
        [steps as f32, 1.0, 1.0]
    }

    /// Takes its own numbers out of a state that may lack others'; of another optimiser's only the steps count.
    pub(super) fn start(&self, gpu: &Gpu, names: &[String], state: &State) -> Result<()> {
        let own = self.tensors(names);
        if own.iter().all(|(name, _)| name == Self::CLOCK || !state.tensors.contains_key(name)) {
            return gpu.write(&self.clock, &Self::clock_after(state.steps));
        }
        for (name, tensor) in own {
            let (numbers, shape) = (state.tensor(&name)?, tensor.shape());
            if numbers.len() != shape.elements() {
                let what = format!("{} numbers of `{name}` for {shape}", numbers.len());
                return Err(Error::Shape { op: "optimiser", what });
            }
            gpu.write(tensor, numbers)?;
        }
        Ok(())
    }

    /// Everything that it knows, by the names in a [`State`], for tensors of these names.
    pub(super) fn tensors(&self, names: &[String]) -> Vec<(String, &Tensor)> {
        let mut tensors = vec![(Self::CLOCK.to_string(), &self.clock)];
        for (name, (mean, square)) in names.iter().zip(&self.means) {
            let own = [(Self::MEAN, mean), (Self::SQUARE, square)];
            tensors.extend(own.map(|(what, tensor)| (name_of(what, name), tensor)));
        }
        tensors
    }

    /// A tensor whose first number counts the steps taken.
    pub(super) fn clock(&self) -> &Tensor {
        &self.clock
    }

    /// Records a step that moves every tensor against its gradient.
    pub(super) fn record(&self, step: Step<'_>) -> Result<()> {
        let Step { recorder, tensors, gradients, rate, bounds: [low, high] } = step;
        let Betas { beta1, beta2, epsilon } = self.betas;
        let (clock, rate) = ((&self.clock).into(), rate.into());
        let settings = |call: Call<'_>, count, elements| {
            let call = call.bind("clock", &clock).set("count", count).set("epsilon", epsilon);
            let call = call.set("beta1", beta1).set("beta2", beta2);
            call.set("low", low).set("high", high).over(elements)
        };
        settings(recorder.kernel(&TICK), tensors.len(), 1)?;
        for ((x, gradient), (mean, square)) in tensors.iter().zip(gradients).zip(&self.means) {
            let count = x.shape().elements();
            let call = recorder.kernel(&UPDATE).bind("x", &x.into()).bind("gradient", gradient);
            let call = call.bind("m", &mean.into()).bind("v", &square.into()).bind("rate", &rate);
            settings(call, count, count)?;
        }
        Ok(())
    }
}

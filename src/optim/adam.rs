//! Adam on the GPU (Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1),
//! with the result clamped to the range of a picture.

use crate::error::Result;
use crate::gpu::{Call, Gpu, KernelId, Recorder, Shader, Value};
use crate::picture::resized_plane;
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

/// What Adam knows after some steps, on the host, so that it can go on at another size.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Steps taken.
    pub steps: u64,
    /// Width and height of the planes.
    pub size: (u32, u32),
    /// The mean of gradients, planar.
    pub mean: Vec<f32>,
    /// The mean of their squares, planar.
    pub square: Vec<f32>,
}

impl Moments {
    /// The same for a picture of another size. A loss that is a mean over pixels has gradients in
    /// proportion to a pixel's share.
    #[must_use]
    pub fn resized(&self, size: (u32, u32)) -> Self {
        let area = |(w, h): (u32, u32)| f64::from(w) * f64::from(h);
        let share = (area(self.size) / area(size)) as f32;
        let planes = |numbers: &[f32], factor: f32| -> Vec<f32> {
            let planes = numbers.chunks_exact(numbers.len() / 3);
            planes
                .flat_map(|plane| resized_plane(plane, self.size, size))
                .map(|number| factor * number)
                .collect()
        };
        let (mean, square) = (planes(&self.mean, share), planes(&self.square, share * share));
        Moments { steps: self.steps, size, mean, square }
    }
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

    /// Bytes on the GPU for a tensor of that shape.
    pub fn bytes(shape: &Shape) -> u64 {
        2 * shape.bytes() + 12
    }

    /// Starts afresh after `steps` steps of others, which its clock counts and its corrections do not.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub fn start(&self, gpu: &Gpu, steps: u64) -> Result<()> {
        gpu.write(&self.clock, &[steps as f32, 1.0, 1.0])
    }

    /// Goes on from `moments`, which have the tensor's size.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub fn restore(&self, gpu: &Gpu, moments: &Moments) -> Result<()> {
        let steps = moments.steps as i32;
        let power = |beta: f32| f64::from(beta).powi(steps) as f32;
        gpu.write(&self.clock, &[steps as f32, power(Self::BETA1), power(Self::BETA2)])?;
        gpu.write(&self.mean, &moments.mean)?;
        gpu.write(&self.square, &moments.square)
    }

    /// The moments of a picture of `size` after `steps` steps.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn moments(&self, gpu: &Gpu, size: (u32, u32), steps: u64) -> Result<Moments> {
        let (mean, square) = (gpu.read(&self.mean).await?, gpu.read(&self.square).await?);
        Ok(Moments { steps, size, mean, square })
    }

    /// The tensors of the mean of gradients and of the mean of their squares.
    pub(crate) fn state(&self) -> [&Tensor; 2] {
        [&self.mean, &self.square]
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
        self.record_tick(recorder)?;
        self.record_update(recorder, x, gradient)
    }

    /// The first half of [`Adam::record`]: counts the step.
    pub(crate) fn record_tick(&self, recorder: &mut Recorder) -> Result<()> {
        recorder.scope = "optimiser".into();
        self.settings(recorder.kernel(&TICK)?, 0).over(1)
    }

    /// The second half: moves as many numbers as the state has; for pictures that are moved piece by piece.
    pub(crate) fn record_update(
        &self,
        recorder: &mut Recorder,
        x: &Tensor,
        gradient: &Value,
    ) -> Result<()> {
        let count = x.shape().elements();
        recorder.scope = "optimiser".into();
        let call = recorder.kernel(&UPDATE)?.bind("x", &x.into()).bind("gradient", gradient);
        let call = call.bind("m", &(&self.mean).into()).bind("v", &(&self.square).into());
        self.settings(call, count).over(count)
    }

    fn settings<'r>(&self, call: Call<'r>, count: usize) -> Call<'r> {
        let call = call.bind("clock", &(&self.clock).into()).set("count", count);
        let call = call.set("lr", self.lr).set("epsilon", Self::EPSILON);
        let call = call.set("beta1", Self::BETA1).set("beta2", Self::BETA2);
        call.set("low", 0.0).set("high", 1.0)
    }
}

//! An exponential moving average of the iterates, corrected for its beginning, as Crowson's style-transfer-pytorch
//! keeps it.

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Tensor};
use crate::shape::Shape;

/// The shader.
pub static SHADER: Shader = shader!("average");
static TICK: KernelId = KernelId::new(&SHADER, "tick");
static UPDATE: KernelId = KernelId::new(&SHADER, "update");

/// The average of one tensor over the steps.
pub struct Average {
    clock: Tensor,
    average: Tensor,
}

impl Average {
    /// What counts the average so far at each step.
    pub const DECAY: f32 = 0.99;

    /// Before the first step.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when it is too large for the adapter.
    pub fn new(gpu: &Gpu, shape: &Shape) -> Result<Self> {
        Ok(Average { clock: gpu.zeros([1])?, average: gpu.zeros(shape.clone())? })
    }

    /// Bytes on the GPU for a tensor of that shape.
    pub fn bytes(shape: &Shape) -> u64 {
        shape.bytes() + 4
    }

    /// Starts with `x`, which counts nothing once there is a step.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub fn start(&self, gpu: &Gpu, x: &[f32]) -> Result<()> {
        gpu.write(&self.average, x)
    }

    /// Everything that it knows, by name.
    pub(super) fn tensors(&self) -> [(&'static str, &Tensor); 2] {
        [("average_clock", &self.clock), ("average", &self.average)]
    }

    /// The average.
    pub fn tensor(&self) -> &Tensor {
        &self.average
    }

    /// Records that `x` as it stands is averaged in.
    ///
    /// # Errors
    /// As [`Recorder::kernel`].
    pub fn record(&self, recorder: &mut Recorder, x: &Tensor) -> Result<()> {
        let count = x.shape().elements();
        recorder.scope = "average".into();
        let call = recorder.kernel(&TICK).bind("clock", &(&self.clock).into());
        call.set("count", count).set("decay", Self::DECAY).over(1)?;
        let call = recorder.kernel(&UPDATE).bind("clock", &(&self.clock).into());
        let call = call.bind("x", &x.into()).bind("average", &(&self.average).into());
        call.set("count", count).set("decay", Self::DECAY).over(count)
    }
}

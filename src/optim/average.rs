//! An exponential moving average of the iterates, corrected for its beginning, as Crowson's style-transfer-pytorch
//! keeps it.

use super::state::name_of;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Tensor};
use crate::shape::Shape;

/// The shader.
pub static SHADER: Shader = shader!("average");
static TICK: KernelId = KernelId::new(&SHADER, "tick");
static UPDATE: KernelId = KernelId::new(&SHADER, "update");

/// The average over the steps of each of a list of tensors.
pub struct Average {
    clock: Tensor,
    averages: Vec<Tensor>,
}

impl Average {
    /// What counts the average so far at each step.
    pub const DECAY: f32 = 0.99;
    /// The name of an average in a [`State`](super::State).
    pub(crate) const NAME: &str = "average";

    /// Before the first step, for tensors of those shapes.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when it is too large for the adapter.
    pub fn new(gpu: &Gpu, shapes: &[Shape]) -> Result<Self> {
        let averages =
            shapes.iter().map(|shape| gpu.zeros(shape.clone())).collect::<Result<_>>()?;
        Ok(Average { clock: gpu.zeros([1])?, averages })
    }

    /// Starts with these numbers of each tensor, which count nothing once there is a step.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when their count does not fit.
    pub fn start<'a>(&self, gpu: &Gpu, x: impl IntoIterator<Item = &'a [f32]>) -> Result<()> {
        self.averages.iter().zip(x).try_for_each(|(average, x)| gpu.write(average, x))
    }

    /// Everything that it knows, by name, for tensors of these names.
    pub(super) fn tensors(&self, names: &[String]) -> Vec<(String, &Tensor)> {
        let averages = names.iter().zip(&self.averages);
        let averages = averages.map(|(name, average)| (name_of(Self::NAME, name), average));
        std::iter::once(("average_clock".to_string(), &self.clock)).chain(averages).collect()
    }

    /// The average of the tensor `at` in the list.
    pub fn tensor(&self, at: usize) -> &Tensor {
        &self.averages[at]
    }

    /// Records that the tensors as they stand are averaged in, in the list's order.
    ///
    /// # Errors
    /// As [`Recorder::kernel`].
    pub fn record(&self, recorder: &mut Recorder, tensors: &[&Tensor]) -> Result<()> {
        recorder.scope = "average".into();
        let clock = (&self.clock).into();
        let call = recorder.kernel(&TICK).bind("clock", &clock);
        call.set("count", tensors.len()).set("decay", Self::DECAY).over(1)?;
        for (x, average) in tensors.iter().zip(&self.averages) {
            let count = x.shape().elements();
            let call = recorder.kernel(&UPDATE).bind("clock", &clock);
            let call = call.bind("x", &(*x).into()).bind("average", &average.into());
            call.set("count", count).set("decay", Self::DECAY).over(count)?;
        }
        Ok(())
    }
}

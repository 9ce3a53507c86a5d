//! Loss scaling (Micikevicius et al. 2018, section 3.2): gradients of maps stored as f16 are those of the loss times a
//! factor, or most of them would be smaller than f16's smallest number.
//!
//! The factor is a power of two near 2¹³·√pixels / loss (in tiles, the style's with a guess of the content's), computed
//! on the GPU in every step. With VGG-19 at 256 px the gradients of the maps then have root mean squares of 0.005 to
//! 0.08, and the largest is about 1; f16 holds 65,504 and loses digits below 6e-5. The factor depends on nothing but the
//! picture, so a run that is resumed takes the same steps.

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Frozen, KernelId, Recorder, Shader, Value};
use crate::shape::{Precision, Shape};
use crate::tape::{Tape, Var};

/// The shader.
pub static SHADER: Shader = shader!("loss_scale");
static MEASURE: KernelId = KernelId::new(&SHADER, "measure");
static UNDO: KernelId = KernelId::new(&SHADER, "undo");

/// The factor is 2 to this at a loss of 1 and one pixel.
const POWER: f64 = 13.0;

/// What gradients are multiplied by on their way through the network.
#[derive(Clone)]
pub(crate) struct LossScale {
    /// The factor, a scalar: where the way back starts.
    pub seed: Value,
    /// Its inverse; `None` where the factor is always 1.
    pub inverse: Option<Value>,
}

impl LossScale {
    /// 1: for f32.
    pub fn one() -> Self {
        LossScale { seed: (&Frozen::scalar(1.0)).into(), inverse: None }
    }

    /// Records the factor for a loss of a picture with so many pixels, whose maps are stored in `precision`.
    pub fn record(
        recorder: &mut Recorder,
        precision: Precision,
        loss: &Value,
        pixels: usize,
    ) -> Result<Self> {
        if precision == Precision::F32 {
            return Ok(Self::one());
        }
        let power = (POWER + 0.5 * (pixels.max(1) as f64).log2()).round() as usize;
        let seed = recorder.temporary(Shape::scalar());
        let inverse = recorder.temporary(Shape::scalar());
        let call = recorder.kernel(&MEASURE).bind("loss", loss).bind("seed", &seed);
        let call = call.bind("inverse", &inverse).set("count", 1).set("power", power);
        call.groups([1, 1, 1])?;
        Ok(LossScale { seed, inverse: Some(inverse) })
    }

    /// Makes it last, for the programs that go on from here.
    pub fn keep(&self, recorder: &mut Recorder) -> Result<Self> {
        let mut keep = |value: &Value| Ok(Value::from(&recorder.keep(value)?));
        let inverse = self.inverse.as_ref().map(&mut keep).transpose()?;
        Ok(LossScale { seed: keep(&self.seed)?, inverse })
    }

    /// Records the division of the picture's gradient.
    pub fn undo(&self, recorder: &mut Recorder, gradient: &Value) -> Result<()> {
        let Some(inverse) = &self.inverse else { return Ok(()) };
        let count = gradient.shape().elements();
        let call = recorder.kernel(&UNDO).bind("gradient", gradient).bind("inverse", inverse);
        call.set("count", count).set("power", 0).over(count)
    }
}

/// Records the gradients of `loss`, a scalar, to `variables`, the first of which is a picture, 3×H×W, through maps stored in
/// `precision`; `None` where the loss does not depend on one of them.
///
/// # Errors
/// As [`Tape::backward`].
pub fn gradients(
    tape: &mut Tape,
    loss: Var,
    variables: &[Var],
    precision: Precision,
) -> Result<Option<Vec<Var>>> {
    let pixels = variables.first().map_or(1, |picture| tape.shape(*picture).elements() / 3);
    let value = tape.value(loss).clone();
    let scale = LossScale::record(tape.recorder(), precision, &value, pixels)?;
    let seed = tape.given(&scale.seed);
    let gradients = tape.backward_from(loss, seed)?;
    let all = variables.iter().map(|variable| tape.gradient(&gradients, *variable));
    let Some(all) = all.collect::<Option<Vec<_>>>() else { return Ok(None) };
    for gradient in &all {
        let value = tape.value(*gradient).clone();
        scale.undo(tape.recorder(), &value)?;
    }
    Ok(Some(all))
}

//! `channel_mean`: the mean of every channel, the first moment of a feature map.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("channel_mean");
static PARTIAL_SUMS: KernelId = KernelId::new(&SHADER, "partial_sums");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// Pixels that a workgroup sums.
const SHARE: usize = 8192;

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "channel_mean", shaders: &[&SHADER], cases };

/// μ = Σ F / N over the N = H·W pixels of every channel. C×H×W → C.
///
/// # Errors
/// As [`Tape::record`].
pub fn channel_mean(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.record(ChannelMean, &[x])
}

#[derive(Clone)]
pub(super) struct ChannelMean;

fn settings<'r>(call: Call<'r>, [c, n]: [usize; 2], accumulate: bool) -> Call<'r> {
    let call = call.set("channels", c).set("pixels", n).set("share", SHARE);
    let call = call.set("shares", n.div_ceil(SHARE)).set("scale", 1.0 / n as f32);
    call.set("accumulate", accumulate)
}

fn extents(shape: &Shape) -> Result<[usize; 2]> {
    let [c, h, w] = shape.chw("channel_mean")?;
    Ok([c, h * w])
}

impl Op for ChannelMean {
    fn name(&self) -> &'static str {
        "channel_mean"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, _] = extents(inputs[0])?;
        Ok([c].into())
    }

    fn maps(&self) -> usize {
        1
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let [c, n] = extents(x[0].shape())?;
        let shares = n.div_ceil(SHARE);
        let partials = recorder.temporary([c, shares]);
        let call = recorder.kernel(&PARTIAL_SUMS).bind("x", &x[0]).bind("partials", &partials);
        settings(call, [c, n], false).groups([shares as u32, c as u32, 1])?;
        let call = recorder.kernel(&FINISH).bind("partials", &partials).bind("y", y);
        settings(call, [c, n], false).over(c)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let [c, n] = extents(dx.value.shape())?;
        let call = recorder.kernel(&BACKWARD).bind("dy", pass.dy).bind("dx", &dx.value);
        settings(call, [c, n], dx.accumulate).over(c * n)
    }
}

impl Reference for ChannelMean {
    fn reference(&self, x: &[Array]) -> Array {
        let [c, h, w] = x[0].chw();
        let row = |i: usize| &x[0].data[i * h * w..][..h * w];
        Array::from_fn([c], |i| row(i).iter().sum::<f64>() / (h * w) as f64)
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let [_, h, w] = x[0].chw();
        vec![Array::from_fn(x[0].shape.clone(), |i| dy.data[i / (h * w)] / (h * w) as f64)]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let long = [[2, 130, 127], [70, 9, 61]].map(Shape::from);
    let all = awkward_maps().into_iter().chain(long);
    all.map(|s| Case::new(ChannelMean, vec![s], "")).collect()
}

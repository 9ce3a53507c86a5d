//! What the tape itself does to gradients in place: adds them up, scaled and stored otherwise, and masks them by a ReLU.
//! The operations `scale` and `relu` are the same kernels.

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::Precision;

/// The shader of `scale`.
pub(crate) static SCALE: Shader = shader!("scale");
static RUN: KernelId = KernelId::new(&SCALE, "run");
static NARROW: KernelId = KernelId::new(&SCALE, "narrow");
static WIDEN: KernelId = KernelId::new(&SCALE, "widen");
static CLEAR: KernelId = KernelId::new(&SCALE, "clear");
/// The shader of `relu`.
pub(crate) static RELU: Shader = shader!("relu");
static MASK: KernelId = KernelId::new(&RELU, "mask");

/// Records `to` = or += factor · `from`, however they are stored.
///
/// # Errors
/// As [`Recorder::kernel`].
pub(crate) fn scaled(
    recorder: &mut Recorder,
    from: &Value,
    factor: f32,
    to: &Value,
    accumulate: bool,
) -> Result<()> {
    let count = to.shape().elements();
    let call = match (from.precision(), to.precision()) {
        (Precision::F32, Precision::F16) => {
            recorder.kernel(&NARROW).bind("wide_x", from).bind("y", to)
        }
        (Precision::F16, Precision::F32) => {
            recorder.kernel(&WIDEN).bind("x", from).bind("wide_y", to)
        }
        _ => recorder.kernel(&RUN).bind("x", from).bind("y", to),
    };
    call.set("factor", factor).set("count", count).set("accumulate", accumulate).over(count)
}

/// Records `y` = 0, whatever was there: no number times 0 is still no number. For f32.
///
/// # Errors
/// As [`Recorder::kernel`].
pub(crate) fn cleared(recorder: &mut Recorder, y: &Value) -> Result<()> {
    let count = y.shape().elements();
    let call = recorder.kernel(&CLEAR).bind("wide_y", y).set("count", count);
    call.set("factor", 0.0).set("accumulate", false).over(count)
}

/// Sets `dy` to 0 where `y` is not above 0: the backward pass of a ReLU that another operation ends in.
///
/// # Errors
/// As [`Recorder::kernel`].
pub(crate) fn mask(recorder: &mut Recorder, y: &Value, dy: &Value) -> Result<()> {
    let count = y.shape().elements();
    let call = recorder.kernel(&MASK).bind("y", y).bind("dy", dy);
    call.set("count", count).set("accumulate", false).over(count)
}

/// [`mask`] by a value, if there is one.
///
/// # Errors
/// As [`mask`].
pub(crate) fn masked(recorder: &mut Recorder, y: Option<&Value>, dy: &Value) -> Result<()> {
    y.map_or(Ok(()), |y| mask(recorder, y, dy))
}

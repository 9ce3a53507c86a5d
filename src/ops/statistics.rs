//! Variance and squared norm of a target: computed once for each, without a gradient.

use super::shares;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Frozen, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;

/// The shader.
pub static SHADER: Shader = shader!("statistics");
static SUMS: KernelId = KernelId::new(&SHADER, "sums");
static SQUARES: KernelId = KernelId::new(&SHADER, "squares");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");

/// Records Σ x, a scalar.
///
/// # Errors
/// As [`Recorder::kernel`].
pub fn sum(recorder: &mut Recorder, x: &Value) -> Result<Value> {
    total(recorder, x, None, 1.0)
}

/// Records Σ x², a scalar.
///
/// # Errors
/// As [`Recorder::kernel`].
pub fn square_norm(recorder: &mut Recorder, x: &Value) -> Result<Value> {
    let zero = (&Frozen::scalar(0.0)).into();
    total(recorder, x, Some(&zero), 1.0)
}

/// Records the unbiased variance over all of `x`, a scalar; 0 for a single number.
///
/// # Errors
/// As [`Recorder::kernel`].
pub fn variance(recorder: &mut Recorder, x: &Value) -> Result<Value> {
    let count = x.shape().elements();
    let mean = total(recorder, x, None, 1.0 / count as f32)?;
    total(recorder, x, Some(&mean), 1.0 / (count - 1).max(1) as f32)
}

/// factor · Σ (x − centre)², or factor · Σ x without a centre.
fn total(recorder: &mut Recorder, x: &Value, centre: Option<&Value>, factor: f32) -> Result<Value> {
    let count = x.shape().elements();
    let (share, shares) = shares(count);
    let partials = recorder.temporary([shares]);
    let y = recorder.temporary(Shape::scalar());
    let call = match centre {
        Some(centre) => recorder.kernel(&SQUARES).bind("mean", centre),
        None => recorder.kernel(&SUMS),
    };
    let call = call.bind("x", x).bind("partials", &partials).set("count", count);
    let call = call.set("share", share).set("partials", shares).set("factor", factor);
    call.groups([shares as u32, 1, 1])?;
    let call = recorder.kernel(&FINISH).bind("partials", &partials).bind("y", &y);
    let call = call.set("count", count).set("share", share).set("partials", shares);
    call.set("factor", factor).groups([1, 1, 1])?;
    Ok(y)
}

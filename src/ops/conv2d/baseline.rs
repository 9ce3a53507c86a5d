//! The baseline's dispatches.

use super::{Conv2d, Extents};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::tape::{Backward, Gradient};

pub(super) static SHADER: Shader = shader!("conv2d");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD_INPUT: KernelId = KernelId::new(&SHADER, "backward_input");
static BACKWARD_WEIGHT: KernelId = KernelId::new(&SHADER, "backward_weight");
static BACKWARD_BIAS: KernelId = KernelId::new(&SHADER, "backward_bias");

fn sizes<'r>(
    conv: &Conv2d,
    e: &Extents,
    call: Call<'r>,
    outside: bool,
    accumulate: bool,
) -> Call<'r> {
    let ([c, h, w], [o, oh, ow]) = (e.input, e.output);
    let call = call.set("in_channels", c).set("height", h).set("width", w);
    let call = call.set("out_channels", o).set("out_height", oh).set("out_width", ow);
    let call = call.set("kernel", e.kernel).set("stride", conv.stride).set("pad", conv.padding);
    let call = call.set("mode", conv.mode.code()).set("relu", conv.relu).set("outside", outside);
    call.set("accumulate", accumulate).flops(e.flops())
}

pub(super) fn forward(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    x: &[Value],
    y: &Value,
) -> Result<()> {
    let call = recorder.kernel(&FORWARD).bind("x", &x[0]).bind("weight", &x[1]);
    let call = call.bind("bias", &x[2]).bind("y", y);
    sizes(conv, e, call, false, false).over(y.shape().elements())
}

/// `outside`: only what reached a pixel through the padding.
pub(super) fn backward_input(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    pass: &Backward<'_>,
    dx: &Gradient,
    outside: bool,
) -> Result<()> {
    let call = recorder.kernel(&BACKWARD_INPUT).bind("weight", &pass.x[1]).bind("dy", pass.dy);
    let call = sizes(conv, e, call.bind("dx", &dx.value), outside, dx.accumulate || outside);
    call.over(dx.value.shape().elements())
}

pub(super) fn backward_weight(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    pass: &Backward<'_>,
    dw: &Gradient,
) -> Result<()> {
    let call = recorder.kernel(&BACKWARD_WEIGHT).bind("x", &pass.x[0]).bind("dy", pass.dy);
    let call = sizes(conv, e, call.bind("dx", &dw.value), false, dw.accumulate);
    call.over(dw.value.shape().elements())
}

pub(super) fn backward_bias(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    pass: &Backward<'_>,
    db: &Gradient,
) -> Result<()> {
    let call = recorder.kernel(&BACKWARD_BIAS).bind("dy", pass.dy).bind("dx", &db.value);
    let call = sizes(conv, e, call, false, db.accumulate).flops(0);
    // Channels never come near the most workgroups that a dimension takes.
    call.groups([e.output[0] as u32, 1, 1])
}

//! The baseline's dispatches.

use super::convolution::Gradients;
use super::settings::{Conv2d, Extents};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::tape::{Backward, Gradient};

pub(super) static SHADER: Shader = shader!("conv2d");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD_INPUT: KernelId = KernelId::new(&SHADER, "backward_input");
static WEIGHT_SUMS: KernelId = KernelId::new(&SHADER, "weight_sums");
static BIAS_SUMS: KernelId = KernelId::new(&SHADER, "bias_sums");

/// The parameters that say what the convolution is.
pub(super) fn extents<'r>(conv: &Conv2d, e: &Extents, call: Call<'r>) -> Call<'r> {
    let ([c, h, w], [o, oh, ow]) = (e.input, e.output);
    let call = call.set("in_channels", c).set("height", h).set("width", w);
    let call = call.set("out_channels", o).set("out_height", oh).set("out_width", ow);
    let call = call.set("kernel", e.kernel).set("stride", conv.stride).set("pad", conv.padding);
    conv.edges().set(call)
}

/// All parameters; those that not every entry point reads are off.
fn sizes<'r>(conv: &Conv2d, e: &Extents, call: Call<'r>) -> Call<'r> {
    let call = extents(conv, e, call).set("relu", conv.relu).set("outside", 0usize);
    call.set("accumulate", false).set("share", 0usize).flops(e.flops())
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
    sizes(conv, e, call).over(y.shape().elements())
}

/// `outside`: only what reached a pixel through the padding on these sides ([`Edges::shows`](super::settings::Edges)).
pub(super) fn backward_input(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    pass: &Backward<'_>,
    dx: &Gradient,
    outside: usize,
) -> Result<()> {
    let call = recorder.kernel(&BACKWARD_INPUT).bind("weight", &pass.x[1]).bind("dy", pass.dy);
    let call = sizes(conv, e, call.bind("dx", &dx.value)).set("outside", outside);
    call.set("accumulate", dx.accumulate || outside != 0).over(dx.value.shape().elements())
}

/// The weights' gradient, summed over shares of so many pixels.
pub(super) fn weight_sums(
    of: &Gradients<'_>,
    recorder: &mut Recorder,
    partials: &Value,
    share: usize,
) -> Result<()> {
    let call = recorder.kernel(&WEIGHT_SUMS).bind("x", of.x).bind("dy", of.dy);
    let call = sizes(of.conv, of.extents, call.bind("partials", partials));
    call.set("share", share).over(partials.shape().elements())
}

/// The bias' gradient, summed over shares of so many pixels.
pub(super) fn bias_sums(
    of: &Gradients<'_>,
    recorder: &mut Recorder,
    partials: &Value,
    share: usize,
) -> Result<()> {
    let call = recorder.kernel(&BIAS_SUMS).bind("dy", of.dy).bind("partials", partials);
    let call = sizes(of.conv, of.extents, call).set("share", share).flops(0);
    let [shares, channels] = [0, 1].map(|dim| partials.shape().dims()[dim] as u32);
    call.groups([channels, shares, 1])
}

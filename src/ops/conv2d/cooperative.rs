//! The variant for GPUs that multiply matrices by subgroup: f16 maps, f16 weights, f32 sums.

use super::convolution::Convolution;
use super::pack;
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader};
use crate::shape::Precision;

pub(super) static SHADER: Shader = shader!("conv2d_cooperative");

/// Rows of pixels of a workgroup.
const ROWS: usize = 4;
/// Fragments of output channels of a workgroup.
const BLOCKS: usize = 4;

/// Whether the device takes it, for maps stored so.
pub(super) fn is_there(gpu: &Gpu, precision: Precision) -> bool {
    precision == Precision::F16 && gpu.fragment_side().is_some()
}

pub(super) fn record(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    let gpu = recorder.gpu();
    let (Some(side), Some(constants)) = (gpu.fragment_side(), gpu.report().subgroup_constant())
    else {
        return Err(Error::Gpu("the device has no cooperative matrices".into()));
    };
    let convolve = KernelId { shader: &SHADER, entry: "convolve", constants };
    let ([h, w], c, o) = (pass.size(), pass.in_channels(), pass.out_channels());
    let weight = pack::fragments(pass, recorder, [side, o.next_multiple_of(BLOCKS * side)])?;
    let call = recorder.kernel(&convolve).bind("x", pass.x).bind("weight", &weight);
    let call = call.bind_optional("bias", pass.bias, &weight).bind("y", pass.y);
    let call = call.set("width", w).set("height", h).set("in_channels", c).set("out_channels", o);
    let call = pass.edges.set(call).set("accumulate", pass.accumulate);
    let call = call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu);
    let grid = [w.div_ceil(side), h.div_ceil(ROWS), o.div_ceil(BLOCKS * side)];
    call.flops(pass.flops(o, c)).groups(grid.map(|n| n as u32))
}

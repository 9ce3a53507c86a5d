//! The variant for GPUs that multiply matrices by subgroup: f16 maps, f16 weights, f32 sums.

use super::fast::Pass;
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Value};
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

pub(super) fn record(pass: &Pass<'_>, recorder: &mut Recorder) -> Result<()> {
    let gpu = recorder.gpu();
    let (Some(side), Some(constants)) = (gpu.fragment_side(), gpu.report().subgroup_constant())
    else {
        return Err(Error::Gpu("the device has no cooperative matrices".into()));
    };
    let convolve = KernelId { shader: &SHADER, entry: "convolve", constants };
    let ([h, w], c, o) = (pass.size(), pass.in_channels(), pass.out_channels());
    let packing = pass.packing(&format!("cooperative, {side}"));
    let memory = pass.weight.upload(gpu, &packing, |numbers| pack(pass, side, numbers))?;
    let weight = Value::owned(pass.weight.shape().clone(), memory);
    let weight = Value { precision: Precision::F16, ..weight };
    let call = recorder.kernel(&convolve).bind("x", pass.x).bind("weight", &weight);
    let call = call.bind_optional("bias", pass.bias, &weight).bind("y", pass.y);
    let call = call.set("width", w).set("height", h).set("in_channels", c).set("out_channels", o);
    let call = call.set("padding", pass.mode.code()).set("accumulate", pass.accumulate);
    let call = call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu);
    let grid = [w.div_ceil(side), h.div_ceil(ROWS), o.div_ceil(BLOCKS * side)];
    call.flops(pass.flops(o, c)).groups(grid.map(|n| n as u32))
}

/// By block of outputs, block of inputs, tap, output, input: f16, two of which make a number.
fn pack(pass: &Pass<'_>, side: usize, numbers: &[f32]) -> Vec<f32> {
    let (c, o) = (pass.in_channels(), pass.out_channels());
    let (steps, area) = (c.div_ceil(side), side * side);
    let mut packed = vec![half::f16::ZERO; o.next_multiple_of(BLOCKS * side) * steps * 9 * side];
    for out in 0..o {
        for i in 0..c {
            for tap in 0..9 {
                let block = (out / side * steps + i / side) * 9 + tap;
                let at = block * area + out % side * side + i % side;
                let number = pass.tap(numbers, out, i, tap / 3, tap % 3);
                packed[at] = half::f16::from_f32(number);
            }
        }
    }
    let pair = |pair: &[half::f16]| {
        f32::from_bits(u32::from(pair[0].to_bits()) | u32::from(pair[1].to_bits()) << 16)
    };
    packed.chunks_exact(2).map(pair).collect()
}

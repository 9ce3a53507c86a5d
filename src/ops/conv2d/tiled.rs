//! The variant for GPUs: an implicit matrix product through workgroup memory.

use super::fast::Pass;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};

pub(super) static SHADER: Shader = shader!("conv2d_tiled");
static CONVOLVE: KernelId = KernelId::new(&SHADER, "convolve");

/// Output channels of a workgroup; its pixels along a row and a column.
const CHANNELS: usize = 64;
const TILE: [usize; 2] = [16, 8];
/// Input channels that it takes at a time.
const DEPTH: usize = 4;

pub(super) fn record(pass: &Pass<'_>, recorder: &mut Recorder) -> Result<()> {
    let ([h, w], c, o) = (pass.size(), pass.in_channels(), pass.out_channels());
    let packing = pass.packing("tiled");
    let memory = pass.weight.upload(recorder.gpu(), &packing, |numbers| pack(pass, numbers))?;
    let weight = Value::owned(pass.weight.shape().clone(), memory);
    let call = recorder.kernel(&CONVOLVE).bind("x", pass.x).bind("weight", &weight);
    let call = call.bind_optional("bias", pass.bias, &weight).bind("y", pass.y);
    let call = call.set("width", w).set("height", h).set("in_channels", c).set("out_channels", o);
    let call = call.set("padding", pass.mode.code()).set("accumulate", pass.accumulate);
    let call = call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu);
    call.flops(pass.flops(o, c)).groups([
        w.div_ceil(TILE[0]) as u32,
        h.div_ceil(TILE[1]) as u32,
        o.div_ceil(CHANNELS) as u32,
    ])
}

/// By block of 64 outputs, input (padded to a multiple of 4), row, column, output of 64.
fn pack(pass: &Pass<'_>, numbers: &[f32]) -> Vec<f32> {
    let (c, o) = (pass.in_channels(), pass.out_channels());
    let inputs = c.next_multiple_of(DEPTH);
    let mut packed = vec![0.0; o.div_ceil(CHANNELS) * inputs * 9 * CHANNELS];
    for out in 0..o {
        for i in 0..c {
            for tap in 0..9 {
                let at = ((out / CHANNELS * inputs + i) * 9 + tap) * CHANNELS + out % CHANNELS;
                packed[at] = pass.tap(numbers, out, i, tap / 3, tap % 3);
            }
        }
    }
    packed
}

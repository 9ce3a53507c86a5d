//! The variant for GPUs: an implicit matrix product through workgroup memory.

use super::convolution::Convolution;
use super::pack;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader};

pub(super) static SHADER: Shader = shader!("conv2d_tiled");
static CONVOLVE: KernelId = KernelId::new(&SHADER, "convolve");

/// Output channels of a workgroup; its pixels along a row and a column.
const CHANNELS: usize = 64;
const TILE: [usize; 2] = [16, 8];
/// Input channels that it takes at a time.
const DEPTH: usize = 4;

pub(super) fn record(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    let ([h, w], c, o) = (pass.size(), pass.in_channels(), pass.out_channels());
    let weight = pack::lanes(pass, recorder, "tiled", [CHANNELS, c.next_multiple_of(DEPTH)])?;
    let call = recorder.kernel(&CONVOLVE).bind("x", pass.x).bind("weight", &weight);
    let call = call.bind_optional("bias", pass.bias, &weight).bind("y", pass.y);
    let call = call.set("width", w).set("height", h).set("in_channels", c).set("out_channels", o);
    let call = pass.edges.set(call).set("accumulate", pass.accumulate);
    let call = call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu);
    call.flops(pass.flops(o, c)).groups([
        w.div_ceil(TILE[0]) as u32,
        h.div_ceil(TILE[1]) as u32,
        o.div_ceil(CHANNELS) as u32,
    ])
}

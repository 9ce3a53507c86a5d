//! The variant for software drivers with subgroups: lanes are output channels, and pixels are handed from lane
//! to lane, so that none is loaded twice.

use super::convolution::Convolution;
use super::pack;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader};

pub(super) static SHADER: Shader = shader!("conv2d_broadcast");
static CONVOLVE: KernelId = KernelId::new(&SHADER, "convolve");
static CONVOLVE_ALIGNED: KernelId = KernelId::new(&SHADER, "convolve_aligned");

/// Output channels of a workgroup.
const BLOCK: usize = 32;
/// Pixels of a tile's side.
const TILE: usize = 8;
/// With fewer output channels, most lanes would idle.
pub(super) const LEAST_CHANNELS: usize = 16;

/// Whether the device and the grid take it.
pub(super) fn fits(gpu: &Gpu, pass: &Convolution<'_>) -> bool {
    gpu.broadcasts() && pass.size().iter().all(|extent| extent.div_ceil(TILE) <= 65_535)
}

/// Whether it is faster than the uniform kernel.
pub(super) fn pays(gpu: &Gpu, pass: &Convolution<'_>) -> bool {
    pass.out_channels() >= LEAST_CHANNELS && fits(gpu, pass)
}

pub(super) fn record(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    let ([h, w], c, o) = (pass.size(), pass.in_channels(), pass.out_channels());
    let weight = pack::lanes(pass, recorder, "broadcast", [BLOCK, c])?;
    let call = match w % 4 {
        0 => recorder
            .kernel(&CONVOLVE_ALIGNED)
            .bind("y4", pass.y)
            .bind_optional("gate4", pass.mask, pass.x),
        _ => recorder.kernel(&CONVOLVE).bind("y", pass.y).bind_optional("gate", pass.mask, pass.x),
    };
    let call =
        call.bind("x", pass.x).bind("weight", &weight).bind_optional("bias", pass.bias, &weight);
    let call = call.set("width", w).set("height", h).set("in_channels", c).set("out_channels", o);
    let call = pass.edges.set(call).set("accumulate", pass.accumulate);
    let call = call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu);
    let call = call.set("mask", pass.mask.is_some());
    let grid = [w.div_ceil(TILE), h.div_ceil(TILE), o.div_ceil(BLOCK)];
    call.flops(pass.flops(o, c)).groups(grid.map(|n| n as u32))
}

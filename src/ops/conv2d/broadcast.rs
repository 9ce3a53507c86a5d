//! The variant for software drivers with subgroups: lanes are output channels, and pixels are handed from lane
//! to lane, so that none is loaded twice; weights from uniform windows.

use super::fast::Pass;
use super::windows::Layout;
use crate::error::Result;
use crate::gpu::{Gpu, KernelId, Recorder, Shader};
use crate::shader;

pub(super) static SHADER: Shader = shader!("conv2d_broadcast");
static CONVOLVE: KernelId = KernelId::new(&SHADER, "convolve");
static CONVOLVE_ALIGNED: KernelId = KernelId::new(&SHADER, "convolve_aligned");

/// By tap, output.
const LAYOUT: Layout =
    Layout { name: "broadcast", block: 32, unit: 72, place: |out, tap| 32 * tap + out };
/// Pixels of a tile's side.
const TILE: usize = 8;
/// With fewer output channels, most lanes would idle.
const LEAST_CHANNELS: usize = 16;

/// Whether the device and the grid take it.
pub(super) fn fits(gpu: &Gpu, pass: &Pass<'_>) -> bool {
    gpu.broadcasts() && pass.size().iter().all(|extent| extent.div_ceil(TILE) <= 65_535)
}

/// Whether it is faster than the uniform kernel.
pub(super) fn pays(gpu: &Gpu, pass: &Pass<'_>) -> bool {
    pass.out_channels() >= LEAST_CHANNELS && fits(gpu, pass)
}

pub(super) fn record(pass: &Pass<'_>, recorder: &mut Recorder) -> Result<()> {
    let [h, w] = pass.size();
    let [x, y] = [w.div_ceil(TILE), h.div_ceil(TILE)];
    let aligned = w % 4 == 0;
    let kernel = if aligned { &CONVOLVE_ALIGNED } else { &CONVOLVE };
    LAYOUT.record(
        pass,
        recorder,
        kernel,
        x * y,
        |blocks| [x, y, blocks],
        |call| {
            let call = call.bind("x", pass.x).bind(if aligned { "y4" } else { "y" }, pass.y);
            call.set("width", w).set("height", h)
        },
    )
}

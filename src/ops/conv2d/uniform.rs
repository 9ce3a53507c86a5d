//! The variant for software drivers: register tiles, a lane each, and weights from uniform windows.

use super::fast::Pass;
use super::windows::Layout;
use crate::error::Result;
use crate::gpu::{KernelId, Recorder, Shader};
use crate::shader;

pub(super) static SHADER: Shader = shader!("conv2d_uniform");
/// Rows of any width are not aligned to vec4.
pub(super) static ANY_WIDTH: Shader = shader!("conv2d_uniform_any");
static CONVOLVE: KernelId = KernelId::new(&SHADER, "convolve");
static CONVOLVE_ANY_WIDTH: KernelId = KernelId::new(&ANY_WIDTH, "convolve");

/// By output, row of taps: three columns and a 0.
const LAYOUT: Layout = Layout {
    name: "uniform",
    block: 8,
    unit: 24,
    place: |out, tap| 12 * out + tap / 3 * 4 + tap % 3,
};
/// Invocations of a workgroup, a tile of pixels each.
const LANES: usize = 8;

/// Tiles along x, tiles in all, and workgroups, for a map of that size.
fn grid([h, w]: [usize; 2]) -> [usize; 3] {
    let tiles_x = w.div_ceil(if w % 4 == 0 { 8 } else { 4 });
    let tiles = tiles_x * h.div_ceil(4);
    [tiles_x, tiles, tiles.div_ceil(LANES)]
}

/// Whether the map has few enough tiles for the grid, which does not fold.
pub(super) fn fits(pass: &Pass<'_>) -> bool {
    grid(pass.size())[2] <= 65_535
}

pub(super) fn record(pass: &Pass<'_>, recorder: &mut Recorder) -> Result<()> {
    let [h, w] = pass.size();
    let aligned = w % 4 == 0;
    let [tiles_x, tiles, groups] = grid(pass.size());
    let kernel = if aligned { &CONVOLVE } else { &CONVOLVE_ANY_WIDTH };
    LAYOUT.record(
        pass,
        recorder,
        kernel,
        groups,
        |blocks| [groups, blocks, 1],
        |call| {
            let call = if aligned { call.bind("x4", pass.x) } else { call };
            let call = call.bind("x", pass.x).bind("y", pass.y).set("width", w).set("height", h);
            call.set("tiles_x", tiles_x).set("tiles", tiles)
        },
    )
}

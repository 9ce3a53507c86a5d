//! Any kernel, stride and padding: an implicit matrix product through workgroup memory, with the weights as they are.

use super::baseline;
use super::settings::{Conv2d, Extents};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::tape::{Backward, Gradient};

pub(super) static SHADER: Shader = shader!("conv2d_implicit");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD_INPUT: KernelId = KernelId::new(&SHADER, "backward_input");

/// Channels and pixels of a workgroup.
const TILE: usize = 64;
/// Workgroups along x before the grid folds into z.
const FOLD: usize = 32_768;

pub(super) fn forward(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    x: &[Value],
    y: &Value,
) -> Result<()> {
    let call = recorder.kernel(&FORWARD).bind("x", &x[0]).bind("weight", &x[1]);
    let call = call.bind("bias", &x[2]).bind("y", y).set("accumulate", false);
    dispatch(conv, e, call, e.output)
}

/// Without what came through mirrored or repeated edges.
pub(super) fn backward_input(
    conv: &Conv2d,
    e: &Extents,
    recorder: &mut Recorder,
    pass: &Backward<'_>,
    dx: &Gradient,
) -> Result<()> {
    let call = recorder.kernel(&BACKWARD_INPUT).bind("weight", &pass.x[1]).bind("dy", pass.dy);
    let call = call.bind("dx", &dx.value).set("accumulate", dx.accumulate);
    dispatch(conv, e, call, e.input)
}

fn dispatch(
    conv: &Conv2d,
    e: &Extents,
    call: Call<'_>,
    [channels, h, w]: [usize; 3],
) -> Result<()> {
    let call = baseline::extents(conv, e, call).set("relu", conv.relu).flops(e.flops());
    let tiles = (h * w).div_ceil(TILE);
    call.groups([tiles.min(FOLD), channels.div_ceil(TILE), tiles.div_ceil(FOLD)].map(|n| n as u32))
}

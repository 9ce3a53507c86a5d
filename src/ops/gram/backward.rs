//! The backward pass: the symmetric matrix, then its product with the map.

use super::{SHADER, Variant, extents, flops};
use crate::error::Result;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shader;
use crate::tape::Gradient;

pub(super) static UNIFORM: Shader = shader!("gram_uniform");
/// Maps with any number of pixels are not aligned to vec4.
pub(super) static UNIFORM_ANY: Shader = shader!("gram_uniform_any");
static SYMMETRIZE: KernelId = KernelId::new(&SHADER, "symmetrize");
static TILED: KernelId = KernelId::new(&SHADER, "backward");
static UNIFORM_BACKWARD: KernelId = KernelId::new(&UNIFORM, "backward");
static UNIFORM_ANY_BACKWARD: KernelId = KernelId::new(&UNIFORM_ANY, "backward");

/// Numbers of a uniform window: 64 KiB.
const WINDOW: usize = 16_384;
/// Channels of a block of the packed matrix.
const BLOCK: usize = 16;
/// Workgroups along x of the tiled kernel before it folds into z.
const FOLD: usize = 32_768;

pub(super) fn record(
    variant: Variant,
    recorder: &mut Recorder,
    x: &Value,
    dy: &Value,
    dx: &Gradient,
) -> Result<()> {
    let [c, n] = extents(x.shape())?;
    let row = c.next_multiple_of(4);
    let blocks = c.div_ceil(BLOCK);
    let count = blocks * BLOCK * row;
    // The last block's window is bound whole, too.
    let packed = recorder.temporary([count + WINDOW]);
    let call = recorder.kernel(&SYMMETRIZE)?.bind("dy", dy).bind("packed", &packed);
    let call = call.set("channels", c).set("pixels", n).set("span", 0usize).set("pairs", 0usize);
    let call = call.set("tile", 0usize).set("splits", 0usize).set("accumulate", false);
    call.set("scale", 1.0 / n as f32).over(count)?;

    // A window must hold a whole block, and the grid of the uniform kernel does not fold.
    let fits = BLOCK * row <= WINDOW && n <= run(n) * 65_535;
    if variant == Variant::Uniform && fits {
        return uniform(recorder, x, &packed, dx, [c, n]);
    }
    let call = recorder.kernel(&TILED)?.bind("x", x).bind("s", &packed).bind("dx", &dx.value);
    let call = call.set("channels", c).set("pixels", n).set("span", 0usize).set("pairs", 0usize);
    let call = call.set("tile", 0usize).set("splits", 0usize).set("accumulate", dx.accumulate);
    let groups = n.div_ceil(128);
    let grid = [groups.min(FOLD), c.div_ceil(64), groups.div_ceil(FOLD)].map(|g| g as u32);
    call.set("scale", 0.0).flops(flops([c, n])).groups(grid)
}

/// Pixels of a workgroup of the uniform kernels.
fn run(pixels: usize) -> usize {
    if pixels.is_multiple_of(4) { 128 } else { 64 }
}

fn uniform(
    recorder: &mut Recorder,
    x: &Value,
    packed: &Value,
    dx: &Gradient,
    [c, n]: [usize; 2],
) -> Result<()> {
    let kernel = if n % 4 == 0 { &UNIFORM_BACKWARD } else { &UNIFORM_ANY_BACKWARD };
    let block = BLOCK * c.next_multiple_of(4);
    let (blocks, together) = (c.div_ceil(BLOCK), WINDOW / block);
    for first in (0..blocks).step_by(together) {
        let some = together.min(blocks - first);
        let call = recorder.kernel(kernel)?.bind("x", x).bind("dx", &dx.value);
        let call = call.bind_window("s", packed, 4 * (first * block) as u64, 4 * WINDOW as u64);
        let call = call.set("channels", c).set("pixels", n).set("first_out", first * BLOCK);
        let share = (some * BLOCK).min(c - first * BLOCK);
        let call =
            call.set("accumulate", dx.accumulate).flops(2 * share as u64 * c as u64 * n as u64);
        call.groups([n.div_ceil(run(n)) as u32, some as u32, 1])?;
    }
    Ok(())
}

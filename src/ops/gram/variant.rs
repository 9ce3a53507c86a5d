//! What both passes share: the shader, the ways to compute them, and their sizes.

use crate::error::{Result, names};
use crate::gpu::{Shader, shader};
use crate::shape::Shape;

pub(super) static SHADER: Shader = shader!("gram");

/// How the sums are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Tiles through workgroup memory: anything, anywhere, made for GPUs.
    Tiled,
    /// Register tiles: for software drivers.
    Uniform,
}

names!(Variant, "variant", Uniform = "uniform", Tiled = "tiled");

/// Channels and pixels of a map.
pub(super) fn extents(shape: &Shape) -> Result<[usize; 2]> {
    let [c, h, w] = shape.chw("gram")?;
    Ok([c, h * w])
}

/// Multiplications and additions of the full matrix; half of them are saved.
pub(super) fn flops([channels, pixels]: [usize; 2]) -> u64 {
    2 * channels as u64 * channels as u64 * pixels as u64
}

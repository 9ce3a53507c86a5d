//! What both passes share: the shader, the ways to compute them, and their sizes.

use crate::error::Result;
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

impl Variant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Tiled];

    /// As benches call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Tiled => "tiled",
        }
    }
}

/// Channels and pixels of a map.
pub(super) fn extents(shape: &Shape) -> Result<[usize; 2]> {
    let [c, h, w] = shape.chw("gram")?;
    Ok([c, h * w])
}

/// Multiplications and additions of the full matrix; half of them are saved.
pub(super) fn flops([channels, pixels]: [usize; 2]) -> u64 {
    2 * channels as u64 * channels as u64 * pixels as u64
}

//! One convolution as data: forward, or the gradient to the input, which is one with flipped, transposed weights.

use super::settings::{Conv2d, Edges, Extents};
use crate::gpu::Value;

/// y = or += x ∗ weight + bias, then optionally max(·, 0): at stride 1, of a map's own size.
pub(super) struct Convolution<'a> {
    pub x: &'a Value,
    pub y: &'a Value,
    /// O×C×K×K of the layer.
    pub weight: &'a Value,
    /// Convolve with the flipped, transposed weights: from O channels to C.
    pub transposed: bool,
    pub bias: Option<&'a Value>,
    pub edges: Edges,
    pub relu: bool,
    pub accumulate: bool,
    /// Where this is not above 0, y becomes 0 in the end.
    pub mask: Option<&'a Value>,
}

impl Convolution<'_> {
    /// Height and width of both maps.
    pub fn size(&self) -> [usize; 2] {
        let dims = self.y.shape().dims();
        [dims[1], dims[2]]
    }

    /// Height and width of the kernel.
    pub fn kernel(&self) -> usize {
        self.weight.shape().dims()[3]
    }

    /// Multiplications and additions of a 3×3 kernel for so many outputs from so many inputs.
    pub fn flops(&self, outputs: usize, inputs: usize) -> u64 {
        let [h, w] = self.size();
        18 * outputs as u64 * inputs as u64 * h as u64 * w as u64
    }

    pub fn in_channels(&self) -> usize {
        self.x.shape().dims()[0]
    }

    pub fn out_channels(&self) -> usize {
        self.y.shape().dims()[0]
    }
}

/// What the gradients to weights and bias are made of.
pub(super) struct Gradients<'a> {
    pub conv: &'a Conv2d,
    pub extents: &'a Extents,
    pub x: &'a Value,
    pub dy: &'a Value,
}

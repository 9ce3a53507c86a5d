//! One pass of a convolution that keeps the map's size, 3×3 with padding 1 or 1×1 without, forward or
//! to the input, and which variant takes it.

use std::fmt;
use std::sync::Arc;

use super::{Padding, Variant, broadcast, cooperative, pointwise, tiled, uniform, winograd};
use crate::error::Result;
use crate::gpu::{Frozen, Recorder, Value};
use crate::shape::Precision;
use crate::tape::inplace;

/// On GPUs, results with fewer channels would leave most of a tile empty: the gradient to the
/// picture, which has three.
pub(super) const LEAST_TILED_CHANNELS: usize = 8;

/// y = or += x ∗ weight + bias, then optionally max(·, 0).
pub(super) struct Pass<'a> {
    pub x: &'a Value,
    pub y: &'a Value,
    /// O×C×K×K of the forward convolution, K 3 or 1.
    pub weight: &'a Arc<Frozen>,
    /// Convolve with the flipped, transposed weights: from O channels to C.
    pub transposed: bool,
    pub bias: Option<&'a Value>,
    pub mode: Padding,
    pub relu: bool,
    pub accumulate: bool,
    /// Where this is not above 0, y becomes 0 in the end.
    pub mask: Option<&'a Value>,
}

/// Passes of 3×3 convolutions that the tuner takes for the same work: as many channels, the same direction,
/// and about as many pixels.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Channels that go in.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// The gradient to the input.
    pub transposed: bool,
    /// How the maps are stored.
    pub precision: Precision,
    /// Height and width of the maps; classes differ by the power of two of their product.
    pub size: [usize; 2],
}

/// Its name in the tuner's cache.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.transposed { "backward" } else { "forward" };
        let pixels = self.size.iter().product::<usize>().max(1).ilog2();
        write!(f, "conv2d {}→{} 2^{pixels} {direction}", self.inputs, self.outputs)?;
        if self.precision == Precision::F16 { write!(f, " f16") } else { Ok(()) }
    }
}

impl Pass<'_> {
    /// Records it with the variant asked for, or the one that suits the device; `false` when that is
    /// the baseline.
    pub fn record(&self, recorder: &mut Recorder, variant: Option<Variant>) -> Result<bool> {
        let suited = || match (recorder.gpu().is_cpu(), self.out_channels()) {
            (true, _) if winograd::pays(recorder.gpu(), self) => Variant::Winograd,
            (true, _) if broadcast::pays(recorder.gpu(), self) => Variant::Broadcast,
            (true, _) => Variant::Uniform,
            (false, channels) if channels < LEAST_TILED_CHANNELS => Variant::Baseline,
            (false, _) => Variant::Tiled,
        };
        let tuned = || recorder.gpu().choice(&self.class().to_string())?.parse().ok();
        let mut variant = variant.or_else(tuned).unwrap_or_else(suited);
        if self.kernel() == 1 && variant != Variant::Baseline {
            let for_gpus = matches!(variant, Variant::Tiled | Variant::Cooperative);
            pointwise::record(self, recorder, !for_gpus)?;
            return Ok(true);
        }
        if variant == Variant::Winograd && !winograd::fits(self) {
            variant = Variant::Uniform;
        }
        if variant == Variant::Broadcast && !broadcast::fits(recorder.gpu(), self) {
            variant = Variant::Uniform;
        }
        if variant == Variant::Uniform && !uniform::fits(self) {
            variant = Variant::Tiled;
        }
        let there = || cooperative::is_there(recorder.gpu(), self.x.precision());
        if variant == Variant::Cooperative && !there() {
            variant = Variant::Tiled;
        }
        match variant {
            Variant::Baseline => return Ok(false),
            Variant::Broadcast => broadcast::record(self, recorder)?,
            Variant::Winograd => winograd::record(self, recorder)?,
            Variant::Uniform => uniform::record(self, recorder)?,
            Variant::Cooperative => cooperative::record(self, recorder)?,
            Variant::Tiled => tiled::record(self, recorder)?,
        }
        if !matches!(variant, Variant::Broadcast | Variant::Winograd) {
            inplace::masked(recorder, self.mask, self.y)?;
        }
        Ok(true)
    }

    /// What the tuner knows it by.
    fn class(&self) -> Class {
        let [h, w] = self.size();
        let (inputs, outputs) = (self.in_channels(), self.out_channels());
        let (transposed, precision) = (self.transposed, self.x.precision());
        Class { inputs, outputs, transposed, precision, size: [h, w] }
    }

    /// Height and width of both maps.
    pub fn size(&self) -> [usize; 2] {
        let dims = self.y.shape().dims();
        [dims[1], dims[2]]
    }

    /// Height and width of the kernel.
    fn kernel(&self) -> usize {
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

    /// The weight of a 3×3 kernel from channel `i` of x to channel `o` of y at a tap, in `weight`'s
    /// numbers.
    pub fn tap(&self, numbers: &[f32], o: usize, i: usize, row: usize, column: usize) -> f32 {
        let (outer, inner, row, column) = match self.transposed {
            false => (o, i, row, column),
            true => (i, o, 2 - row, 2 - column),
        };
        let inners = self.weight.shape().dims()[1];
        numbers[((outer * inners + inner) * 3 + row) * 3 + column]
    }

    /// The name of a packing of these weights.
    pub fn packing(&self, name: &str) -> String {
        format!("{name}{}", if self.transposed { ", transposed" } else { "" })
    }
}

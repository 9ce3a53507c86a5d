//! What a convolution is, and what of it is computed how.

use std::fmt;

use crate::error::{Error, Result, names};
use crate::gpu::Call;
use crate::shape::{Precision, Shape, Wrap};

/// What a convolution reads beyond the map's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Zeros, as VGG was trained.
    #[default]
    Zero,
    /// The mirrored map; the edge pixel itself is not repeated, so the map must be larger than the
    /// padding.
    Reflect,
    /// The nearest pixel of the map.
    Replicate,
}

names!(Padding, "padding", Zero = "zero", Reflect = "reflect", Replicate = "replicate");

/// What is read beyond the edges of a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    /// Where they do not meet.
    pub mode: Padding,
    pub wrap: Wrap,
}

impl Edges {
    /// What the shaders call it, along x and y: a padding's place among [`Padding::ALL`], and after them that of edges that
    /// meet.
    fn codes(self) -> [usize; 2] {
        let code = |wraps| if wraps { Padding::ALL.len() } else { self.mode as usize };
        [code(self.wrap.x()), code(self.wrap.y())]
    }

    /// The shaders' parameters.
    pub fn set(self, call: Call<'_>) -> Call<'_> {
        let [x, y] = self.codes();
        call.set("padding_x", x).set("padding_y", y)
    }

    /// What passes on the gradient of a map with such edges, but for what mirrored and repeated pixels do.
    pub fn flipped(self) -> Edges {
        Edges { mode: Padding::Zero, ..self }
    }

    /// Where pixels are mirrored or repeated, as the baseline counts it: 1 left and right, 2 above and below.
    pub fn repeats(self) -> usize {
        let axis = |wraps, bit| if wraps || self.mode == Padding::Zero { 0 } else { bit };
        axis(self.wrap.x(), 1) + axis(self.wrap.y(), 2)
    }

    /// Where pixels are not zero, in the same way.
    pub fn shows(self) -> usize {
        let [x, y] = self.codes();
        usize::from(x > 0) + 2 * usize::from(y > 0)
    }
}

/// Settings of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    /// Pixels between neighbouring windows.
    pub stride: usize,
    /// Pixels added on each side.
    pub padding: usize,
    /// What is added where edges do not meet.
    pub mode: Padding,
    /// Edges that meet: there, what is added is the map's other side.
    pub wrap: Wrap,
    /// Ends in max(·, 0).
    pub relu: bool,
    /// Set to force a variant; by default the device and the shape decide.
    pub variant: Option<Variant>,
}

impl Default for Conv2d {
    fn default() -> Self {
        Conv2d {
            stride: 1,
            padding: 1,
            mode: Padding::Zero,
            wrap: Wrap::None,
            relu: false,
            variant: None,
        }
    }
}

/// How the sums are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Register tiles with weights from a uniform window: for software drivers.
    Uniform,
    /// Lanes are output channels and hand pixels to each other: for software drivers with subgroups of 8.
    Broadcast,
    /// Implicit matrix product through workgroup memory: for GPUs.
    Tiled,
    /// As `Tiled`, by cooperative matrices: for GPUs that have them and f16 maps.
    Cooperative,
    /// Winograd's F(4×4, 3×3): for wide layers on software drivers.
    Winograd,
    /// One invocation an element: anything, anywhere.
    Baseline,
}

names!(
    Variant,
    "variant",
    Broadcast = "broadcast",
    Uniform = "uniform",
    Tiled = "tiled",
    Cooperative = "cooperative",
    Winograd = "winograd",
    Baseline = "baseline"
);

/// What of a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient to the input.
    Input,
    /// The gradient to the weights.
    Weight,
}

/// Convolutions that the tuner takes for the same work: as many channels, the same direction, kernel, stride and
/// padding, and about as many pixels.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Channels that go in: of the gradient to the input, those of the layer's output.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// What is computed.
    pub direction: Direction,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Pixels between neighbouring windows.
    pub stride: usize,
    /// Pixels added on each side.
    pub padding: usize,
    /// How the maps are stored.
    pub precision: Precision,
    /// Height and width of the layer's output; classes differ by the power of two of their product.
    pub size: [usize; 2],
}

impl Class {
    /// 3×3 at stride 1 with padding 1, for which the fast variants are made.
    pub(super) fn is_plain(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (3, 1, 1)
    }
}

/// Its name in the tuner's cache.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Forward => "forward",
            Direction::Input => "backward",
            Direction::Weight => "weight",
        };
        let pixels = self.size.iter().product::<usize>().max(1).ilog2();
        write!(f, "conv2d {}→{} 2^{pixels} {direction}", self.inputs, self.outputs)?;
        if !self.is_plain() {
            write!(f, " {}×{}/{} pad {}", self.kernel, self.kernel, self.stride, self.padding)?;
        }
        if self.precision == Precision::F16 { write!(f, " f16") } else { Ok(()) }
    }
}

/// Extents of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    /// Input: channels, height, width.
    pub input: [usize; 3],
    /// Output: channels, height, width.
    pub output: [usize; 3],
    pub kernel: usize,
}

impl Extents {
    /// Multiplications and additions of a pass.
    pub fn flops(&self) -> u64 {
        let [o, h, w] = self.output;
        2 * [o, h, w, self.input[0], self.kernel, self.kernel]
            .iter()
            .map(|n| *n as u64)
            .product::<u64>()
    }
}

impl Conv2d {
    pub(super) fn edges(&self) -> Edges {
        Edges { mode: self.mode, wrap: self.wrap }
    }

    pub(super) fn extents(&self, x: &Shape, weight: &Shape) -> Result<Extents> {
        let wrong = |what| Error::Shape { op: "conv2d", what };
        let [c, h, w] = x.chw("conv2d")?;
        let [o, wc, k, k2] = weight
            .dims()
            .try_into()
            .map_err(|_| wrong(format!("takes weights of shape O×C×K×K, not {weight}")))?;
        if wc != c || k != k2 || k == 0 || self.stride == 0 {
            let stride = self.stride;
            return Err(wrong(format!(
                "weights {weight} do not fit a map of {x} at stride {stride}"
            )));
        }
        if k > h + 2 * self.padding || k > w + 2 * self.padding {
            let pad = self.padding;
            return Err(wrong(format!(
                "a {k}×{k} kernel does not fit {x} with {pad} pixels of padding"
            )));
        }
        // Beyond its edges a map is mirrored without the pixels at them, and starts anew with all.
        let most = |side: usize, wraps: bool| match self.mode {
            _ if wraps => side,
            Padding::Reflect => side.saturating_sub(1),
            Padding::Zero | Padding::Replicate => usize::MAX,
        };
        if self.padding > most(w, self.wrap.x()).min(most(h, self.wrap.y())) {
            let pad = self.padding;
            return Err(wrong(format!(
                "{x} is too small to be mirrored or to start anew {pad} pixels past its edges"
            )));
        }
        let out = |extent: usize| (extent + 2 * self.padding - k) / self.stride + 1;
        Ok(Extents { input: [c, h, w], output: [o, out(h), out(w)], kernel: k })
    }
}

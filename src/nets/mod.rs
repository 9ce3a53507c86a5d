//! Feature networks of the VGG family, as data: a table of layers with f32 weights on the CPU.
//!
//! ```text
//! picture (RGB, 0..1) → preprocess → [colour 1×1] → conv1_1 → relu1_1 → conv1_2 → relu1_2 → pool1 → conv2_1 → …
//!                                                               ↓
//!                                                     [side 1×1 → ReLU] → the tap `relu1_1`
//! ```
//!
//! Blocks of 3×3 convolutions, each followed by a ReLU, with a 2×2 pool of stride 2 (floor)
//! between blocks (Simonyan & Zisserman, "Very Deep Convolutional Networks", 2014). What follows a
//! ReLU may be tapped by the losses under the name `relu{block}_{index}`. A narrow network may carry
//! *side maps* that bring a tap back to VGG's width (Wang et al., "Collaborative Distillation for
//! Ultra-Resolution Universal Style Transfer", 2020).
//!
//! A [`Network`] comes from a file ([`Network::from_safetensors`]; the format is described in
//! [`mod@file`]) or from a seed ([`Network::random`]), and [`NetworkSpec`] is how a user names one.
//! [`Graph`] records it on a tape; nothing else here touches the GPU.

mod check;
mod container;
mod default;
pub mod file;
pub mod graph;
mod names;
mod preprocess;
mod random;
mod spec;
mod taps;

use std::collections::BTreeMap;
use std::fmt;

pub use crate::ops::conv2d::Padding;
pub use default::default_network;
pub use graph::{Graph, Pool, Reach, Side};
pub use preprocess::{Preprocess, PreprocessSource};
pub use spec::NetworkSpec;

/// A network of the VGG family, checked: every layer takes what the one before it gives.
///
/// The fields are plain data. A network put together by hand is checked when it is written
/// ([`Network::to_safetensors`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The name that errors give it: its file, `default`, or `random:vgg19`.
    pub name: String,
    /// What turns the picture into the network's input.
    pub preprocess: Preprocess,
    /// Why it is this preprocessing.
    pub preprocess_source: PreprocessSource,
    /// How the 3×3 convolutions see past the picture's edge.
    pub padding: Padding,
    /// How the maps are halved between blocks.
    pub pool: Pool,
    /// A 1×1 convolution from 3 to 3 channels after `preprocess`, without a ReLU.
    pub colour: Option<Conv>,
    /// The layers in order: `conv1_1` first, a pool wherever the block changes.
    pub layers: Vec<Layer>,
    /// Tap name → the 1×1 convolution, ended as `side` says, through which this tap is read. The next
    /// layer reads the plain tap.
    pub sides: BTreeMap<String, Conv>,
    /// How the side maps end.
    pub side: Side,
}

/// One row of a [`Network`]'s table.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A 3×3 convolution of stride 1, padded by one pixel, and the ReLU after it.
    Conv {
        /// `conv{block}_{index}`, both counted from 1.
        name: String,
        /// The weights.
        conv: Conv,
    },
    /// The 2×2 pool of stride 2 after a block; an odd last row or column is dropped.
    Pool {
        /// `pool{block}`.
        name: String,
    },
}

/// A square convolution's weights.
#[derive(Clone, PartialEq)]
pub struct Conv {
    /// OIHW: `out_channels × in_channels × kernel × kernel`.
    pub weight: Vec<f32>,
    /// One value per output channel.
    pub bias: Vec<f32>,
    /// Channels of the map that comes out.
    pub out_channels: usize,
    /// Channels of the map that goes in.
    pub in_channels: usize,
    /// Side of the kernel in pixels: 3 in layers, 1 in colour and side maps.
    pub kernel: usize,
}

impl Conv {
    /// The weight's shape as the file has it: `[O, I, k, k]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels, self.kernel, self.kernel]
    }
}

/// Shows the shape only: nobody wants to read half a million weights in a failed assertion.
impl fmt::Debug for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conv {:?}", self.shape())
    }
}

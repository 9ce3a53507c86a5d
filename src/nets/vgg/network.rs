//! A network of the VGG family, as data.

use std::collections::BTreeMap;
use std::fmt;

use super::preprocess::{Preprocess, PreprocessSource};
use crate::error::names;
use crate::ops::Padding;

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

/// How the network halves its maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pool {
    /// The largest of four, as VGG was trained.
    #[default]
    Max,
    /// Their mean, which Gatys et al. found to give slightly smoother pictures.
    Avg,
}

names!(Pool, "pooling", Max = "max", Avg = "avg");

/// How side maps end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// In a ReLU, like the tap that they stand for.
    #[default]
    Relu,
    /// In nothing: they give coordinates in a space of features, which may be negative.
    Linear,
}

names!(Side, "side maps", Relu = "relu", Linear = "linear");

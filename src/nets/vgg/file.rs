//! Networks as safetensors files.
//!
//! # Tensors
//! | name | shape | meaning |
//! |---|---|---|
//! | `conv{b}_{i}.weight`, `.bias` | `[O, I, 3, 3]`, `[O]` | convolution `i` of block `b`, both counted from 1 |
//! | `features.{N}.weight`, `.bias` | same | the same in torchvision's and timm's style |
//! | `colour.weight`, `.bias` | `[3, 3, 1, 1]`, `[3]` | optional; applied after the preprocessing |
//! | `side.relu{b}_{i}.weight`, `.bias` | `[O, I, 1, 1]`, `[O]` | optional; the tap is read through it |
//!
//! How many blocks there are, how many convolutions a block has and how wide they are follows from
//! the names and shapes, so VGG-11 to VGG-19 and narrower or shorter relatives all load. Layers are
//! numbered without gaps. In `features.{N}` a convolution and its ReLU take one index each and a pool
//! one more: a step of 2 stays in the block, a step of 3 crosses a pool. Batch-norm variants are
//! refused, and so are files that mix both styles of names.
//!
//! Values are F32, F16 or BF16. The classifier is ignored (`classifier.`, `head.`, `pre_logits.`,
//! `fc6.`, `fc7.`, `fc8.`); any other tensor is refused by name, because a network that silently
//! lacks a part would still paint, only badly.
//!
//! # Metadata (`__metadata__`, strings)
//! | key | value |
//! |---|---|
//! | `impasto.preprocess` | `caffe`, `torchvision`, `none`, or JSON: `{"order":"bgr","scale":[…],"offset":[…]}` |
//! | `impasto.padding` | `zero` (default), `reflect`, `replicate` |
//! | `impasto.pool` | `max` (default), `avg` |
//! | `impasto.side` | how side maps end: `relu` (default), `linear` |
//!
//! In the explicit form `order` names the picture's channel for each input channel, and
//! `input[c] = picture[order[c]] * scale[c] + offset[c]` with the picture in 0..1. Other keys with
//! the prefix `impasto.` are refused, keys without it ignored.
//!
//! # Preprocessing
//! The first that applies: the argument (`--preprocess`), the metadata, the names (`conv1_1` goes
//! with [`Preprocess::caffe`], `features.0` with [`Preprocess::torchvision`]). **Names can mislead**:
//! neural-style-pt's `vgg19-d01eb7cb` has torchvision's names but Caffe's weights, and nothing in it
//! says so. Such a file needs `--preprocess caffe`, or the metadata.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Serialize;

use super::names::{self, Table};
use super::network::{Conv, Layer, Network, Pool, Side};
use super::preprocess::{Preprocess, PreprocessSource};
use crate::error::{Error, Result};
use crate::nets::container::Container;
use crate::ops::Padding;

const PREFIX: &str = "impasto.";
const PREPROCESS: &str = "impasto.preprocess";
const PADDING: &str = "impasto.padding";
const POOL: &str = "impasto.pool";
const SIDE: &str = "impasto.side";

impl Network {
    /// Reads a file of the format above. `name` is what errors call it; `preprocess`, where given,
    /// wins over what the file says.
    ///
    /// # Errors
    /// [`Error::Network`] for anything but a usable network: bytes that are no safetensors file,
    /// truncated or contradictory ones, unknown or missing tensors, shapes that do not fit each
    /// other, values that are not finite, unknown metadata. The message names tensor and shapes.
    pub fn from_safetensors(
        bytes: &[u8],
        name: &str,
        preprocess: Option<Preprocess>,
    ) -> Result<Self> {
        read(bytes, name, preprocess).map_err(|what| Error::Network { name: name.to_owned(), what })
    }

    /// Writes a file of the format above: F32, in the order of the layers, the same bytes every time.
    ///
    /// # Errors
    /// [`Error::Network`] where the network, put together by hand, is none that could be read again.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        self.check().and_then(|()| self.write()).map_err(|what| self.error(what))
    }

    /// The bytes of a checked network.
    fn write(&self) -> Result<Vec<u8>, String> {
        let mut header = Header {
            metadata: BTreeMap::from([
                (PREPROCESS, self.preprocess.to_metadata()?),
                (PADDING, self.padding.name().to_owned()),
                (POOL, self.pool.name().to_owned()),
                (SIDE, self.side.name().to_owned()),
            ]),
            tensors: BTreeMap::new(),
        };
        let mut data = Vec::new();
        let mut add = |name: String, shape: &[usize], values: &[f32]| {
            let start = data.len();
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let info = TensorInfo {
                dtype: Dtype::F32,
                shape: shape.to_vec(),
                data_offsets: (start, data.len()),
            };
            header.tensors.insert(name, info);
        };
        for (stem, conv) in self.named_convs() {
            add(format!("{stem}.weight"), &conv.shape(), &conv.weight);
            add(format!("{stem}.bias"), &[conv.out_channels], &conv.bias);
        }
        let mut header = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
        // The format aligns the data to 8 bytes, with spaces.
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.append(&mut header);
        bytes.append(&mut data);
        Ok(bytes)
    }

    /// Every convolution with the name of its tensors: colour, layers, side maps.
    fn named_convs(&self) -> impl Iterator<Item = (String, &Conv)> {
        let colour = self.colour.iter().map(|conv| ("colour".to_owned(), conv));
        let layers = self.layers.iter().filter_map(|layer| match layer {
            Layer::Conv { name, conv } => Some((name.clone(), conv)),
            Layer::Pool { .. } => None,
        });
        let sides = self.sides.iter().map(|(tap, conv)| (format!("side.{tap}"), conv));
        colour.chain(layers).chain(sides)
    }
}

/// The JSON before the data.
///
/// Written here and not by `safetensors::serialize`, whose metadata is a hash map: the same network
/// would give other bytes on every run.
#[derive(Serialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

/// [`Network::from_safetensors`], with errors that do not name the file yet.
fn read(bytes: &[u8], name: &str, given: Option<Preprocess>) -> Result<Network, String> {
    let file = Container::parse(bytes)?;
    let stated = Stated::read(&file.metadata)?;
    let ranks = file.tensors.iter().map(|(name, stored)| (name.as_str(), stored.shape.len()));
    let table = names::table(&ranks.collect())?;
    let (preprocess, preprocess_source) = match (given, stated.preprocess) {
        (Some(given), _) => (given, PreprocessSource::Given),
        (None, Some(stated)) => (stated, PreprocessSource::Metadata),
        (None, None) => (table.preprocess, PreprocessSource::Names),
    };
    let mut network = Network {
        name: name.to_owned(),
        preprocess,
        preprocess_source,
        padding: stated.padding,
        pool: stated.pool,
        colour: None,
        layers: layers(&file, &table)?,
        sides: BTreeMap::new(),
        side: stated.side,
    };
    if table.colour {
        let colour = conv(&file, "colour")?;
        colour.check_colour()?;
        network.colour = Some(colour);
    }
    for tap in table.sides {
        let stem = format!("side.{tap}");
        let plain = network.find(&tap);
        let width = plain.map_err(|what| format!("tensors `{stem}`: {what}"))?.1.out_channels;
        let side = conv(&file, &stem)?;
        side.check(&stem, 1, width, &format!("`{tap}`"))?;
        network.sides.insert(tap, side);
    }
    Ok(network)
}

/// The rows with their weights, and the pools between blocks.
fn layers(file: &Container, table: &Table) -> Result<Vec<Layer>, String> {
    let mut layers = Vec::new();
    let mut width = 3;
    let mut giver = "the picture".to_owned();
    let mut block = 1;
    for (place, stem) in &table.rows {
        if place.block != block {
            layers.push(Layer::Pool { name: format!("pool{block}") });
            block = place.block;
        }
        let conv = conv(file, stem)?;
        conv.check(stem, 3, width, &giver)?;
        width = conv.out_channels;
        giver = format!("`{stem}`");
        layers.push(Layer::Conv { name: place.conv(), conv });
    }
    Ok(layers)
}

/// One convolution's two tensors. That they fit their neighbours is [`Conv::check`]'s business.
fn conv(file: &Container, stem: &str) -> Result<Conv, String> {
    let [weight, bias] = ["weight", "bias"].map(|part| {
        let name = format!("{stem}.{part}");
        file.tensors.get(&name).ok_or_else(|| {
            format!("tensor `{name}` is missing; a convolution has a .weight and a .bias")
        })
    });
    let (weight, bias) = (weight?, bias?);
    let &[out_channels, in_channels, kernel, across] = weight.shape.as_slice() else {
        return Err(format!(
            "`{stem}.weight` has shape {:?}, but a convolution's is [out, in, height, width]",
            weight.shape
        ));
    };
    if kernel != across {
        return Err(format!(
            "`{stem}.weight` has shape {:?}; only square kernels can be used",
            weight.shape
        ));
    }
    if bias.shape != [out_channels] {
        return Err(format!(
            "`{stem}.bias` has shape {:?}, but `{stem}.weight` of shape {:?} goes with \
             [{out_channels}]; export both from the same network",
            bias.shape, weight.shape
        ));
    }
    Ok(Conv {
        weight: weight.to_f32().map_err(|what| format!("`{stem}.weight` {what}"))?,
        bias: bias.to_f32().map_err(|what| format!("`{stem}.bias` {what}"))?,
        out_channels,
        in_channels,
        kernel,
    })
}

/// What the metadata says about the network.
#[derive(Default)]
struct Stated {
    preprocess: Option<Preprocess>,
    padding: Padding,
    pool: Pool,
    side: Side,
}

impl Stated {
    /// Reads our own keys and refuses those that a newer impasto may have written.
    fn read(metadata: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut stated = Self::default();
        for (key, value) in metadata.iter().filter(|(key, _)| key.starts_with(PREFIX)) {
            match key.as_str() {
                PREPROCESS => {
                    let preprocess = Preprocess::from_metadata(value);
                    stated.preprocess =
                        Some(preprocess.map_err(|what| format!("metadata `{key}`: {what}"))?);
                }
                PADDING => stated.padding = choice(key, value, &Padding::ALL, Padding::name)?,
                POOL => stated.pool = choice(key, value, &Pool::ALL, Pool::name)?,
                SIDE => stated.side = choice(key, value, &Side::ALL, Side::name)?,
                _ => {
                    return Err(format!(
                        "metadata `{key}` is unknown; known are `{PREPROCESS}`, `{PADDING}`, \
                         `{POOL}` and `{SIDE}`. A newer impasto may have written this file"
                    ));
                }
            }
        }
        Ok(stated)
    }
}

/// The one of `all` that is called `value`.
fn choice<T: Copy>(
    key: &str,
    value: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    let known = all.iter().copied().find(|one| name(*one) == value);
    known.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| format!("`{}`", name(*one))).collect();
        format!("metadata `{key}`: unknown value `{value}`; known are {}", names.join(", "))
    })
}

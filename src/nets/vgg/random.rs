//! VGG-19 with random weights: the right shapes and plausible activations without a download, for
//! tests and benchmarks. Random filters already carry some texture (He, Wang & Hopcroft, "A Powerful
//! Generative Model Using Random Weights for the Deep Image Representation", 2016).

use std::collections::BTreeMap;

use super::check::Position;
use super::network::{Conv, Layer, Network, Pool, Side};
use super::preprocess::{Preprocess, PreprocessSource};
use crate::error::{Error, Result};
use crate::ops::Padding;
use crate::random::Random;

/// VGG-19: convolutions and channels of each block (Simonyan & Zisserman 2014, table 1, E).
const VGG19: [(u32, usize); 5] = [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)];

impl Network {
    /// VGG-19 with all widths divided by `divide`, to the tap `last` (to `relu5_4` where `None`).
    ///
    /// Weights are normal with variance `2 / (9 · in_channels)`, so that a ReLU network keeps the
    /// size of its activations (He et al., "Delving Deep into Rectifiers", 2015); biases are zero.
    /// Input: [`Preprocess::torchvision`], which brings photographs to about mean 0 and variance 1,
    /// as that rule assumes. The bits depend on `divide` and `seed` only, never on the platform, and
    /// a shorter network is the beginning of a longer one.
    ///
    /// # Errors
    /// [`Error::Usage`] unless `divide` divides 64; [`Error::Network`] where `last` is no tap.
    pub fn random(divide: u32, seed: u64, last: Option<&str>) -> Result<Self> {
        let divisor = check_divide(divide)?;
        let mut network = Self {
            name: match divide {
                1 => "random:vgg19".to_owned(),
                _ => format!("random:vgg19/{divide}"),
            },
            preprocess: Preprocess::torchvision(),
            preprocess_source: PreprocessSource::Random,
            padding: Padding::Zero,
            pool: Pool::Max,
            colour: None,
            layers: table(divisor),
            sides: BTreeMap::new(),
            side: Side::default(),
        };
        if let Some(last) = last {
            network = network.truncated(&[last])?;
        }
        let mut random = Random::new(seed);
        for layer in &mut network.layers {
            if let Layer::Conv { conv, .. } = layer {
                fill(conv, &mut random);
            }
        }
        Ok(network)
    }
}

/// That the widths can be divided by `divide`; returns it as a divisor of channel counts.
pub(super) fn check_divide(divide: u32) -> Result<usize> {
    match usize::try_from(divide) {
        Ok(divisor) if divisor > 0 && VGG19[0].1.is_multiple_of(divisor) => Ok(divisor),
        _ => Err(Error::Usage(format!(
            "random:vgg19/{divide}: the widths 64, 128, 256, 512 can't be divided by {divide}; \
             take 1, 2, 4, 8, 16, 32 or 64"
        ))),
    }
}

/// The rows without their weights.
fn table(divisor: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut in_channels = 3;
    for (block, (convs, width)) in (1..).zip(VGG19) {
        if block > 1 {
            layers.push(Layer::Pool { name: format!("pool{}", block - 1) });
        }
        for index in 1..=convs {
            let out_channels = width / divisor;
            layers.push(Layer::Conv {
                name: Position { block, index }.conv(),
                conv: Conv {
                    weight: Vec::new(),
                    bias: vec![0.0; out_channels],
                    out_channels,
                    in_channels,
                    kernel: 3,
                },
            });
            in_channels = out_channels;
        }
    }
    layers
}

/// He-initialises a 3×3 convolution.
fn fill(conv: &mut Conv, random: &mut Random) {
    let elements: usize = conv.shape().iter().product();
    let fan_in = elements / conv.out_channels;
    let deviation = (2.0 / fan_in as f64).sqrt();
    conv.weight.reserve_exact(elements + 1);
    while conv.weight.len() < elements {
        let (a, b) = random.normals();
        conv.weight.push((a * deviation) as f32);
        conv.weight.push((b * deviation) as f32);
    }
    conv.weight.truncate(elements);
}

//! VGG-19 with random weights: the right shapes and plausible activations without a download, for
//! tests and benchmarks. Random filters already carry some texture (He, Wang & Hopcroft, "A Powerful
//! Generative Model Using Random Weights for the Deep Image Representation", 2016).

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::check::Position;
use super::network::{Conv, Layer, Network, Pool, Side};
use super::preprocess::{Preprocess, PreprocessSource};
use crate::error::{Error, Result};
use crate::ops::Padding;

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
        let mut normals = Normals::new(seed);
        for layer in &mut network.layers {
            if let Layer::Conv { conv, .. } = layer {
                normals.fill(conv);
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

/// Standard normal numbers by the Box–Muller transform, two at a time.
///
/// In f64 with `libm`'s functions: the standard library's `ln` and `sin` are the platform's own and
/// differ in the last bit.
struct Normals(ChaCha8Rng);

impl Normals {
    /// The key is the seed's little-endian bytes, then zeros. `seed_from_u64` would do as well, if
    /// its expansion were promised to stay as it is.
    fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// He-initialises a 3×3 convolution.
    fn fill(&mut self, conv: &mut Conv) {
        let elements: usize = conv.shape().iter().product();
        let fan_in = elements / conv.out_channels;
        let deviation = (2.0 / fan_in as f64).sqrt();
        conv.weight.reserve_exact(elements + 1);
        while conv.weight.len() < elements {
            let (a, b) = self.pair();
            conv.weight.push((a * deviation) as f32);
            conv.weight.push((b * deviation) as f32);
        }
        conv.weight.truncate(elements);
    }

    /// Two independent numbers.
    fn pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        let (sin, cos) = libm::sincos(TAU * self.uniform());
        (radius * cos, radius * sin)
    }

    /// Uniform in (0, 1): the middles of 2^52 equal steps, so that the logarithm is finite.
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

//! A network on the tape.

use std::str::FromStr;
use std::sync::Arc;

use super::{Conv, Layer, Network};
use crate::error::{Error, Knob, Result};
use crate::gpu::{Frozen, Gpu};
use crate::ops::normalize::Channel;
use crate::ops::{self, Conv2d, Padding};
use crate::picture::fitted_size;
use crate::shape::Precision;
use crate::tape::{Tape, Var};

/// How the network halves its maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pool {
    /// The largest of four, as VGG was trained.
    #[default]
    Max,
    /// Their mean, which Gatys et al. found to give slightly smoother pictures.
    Avg,
}

impl Pool {
    /// Both, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::Max, Self::Avg];

    /// `max` or `avg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Avg => "avg",
        }
    }
}

impl FromStr for Pool {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|pool| pool.name() == name);
        known.ok_or_else(|| Error::Usage(format!("pooling `{name}` is unknown; choose max or avg")))
    }
}

/// How side maps end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// In a ReLU, like the tap that they stand for.
    #[default]
    Relu,
    /// In nothing: they give coordinates in a space of features, which may be negative.
    Linear,
}

impl Side {
    /// Both, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::Relu, Self::Linear];

    /// `relu` or `linear`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Linear => "linear",
        }
    }
}

/// How far a network looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Pixels of the picture to one of the deepest map: 2 to the number of pools.
    pub stride: usize,
    /// Pixels that the deepest map depends on, on each side of those that it stands for.
    pub halo: usize,
}

/// A network whose weights are ready to be recorded, any number of times.
pub struct Graph {
    channels: [Channel; 3],
    /// Of the first layer, and of the others.
    paddings: [Padding; 2],
    pool: Pool,
    side: Side,
    precision: Precision,
    colour: Option<Weights>,
    rows: Vec<Row>,
}

struct Weights {
    weight: Arc<Frozen>,
    bias: Arc<Frozen>,
}

enum Row {
    Conv { name: String, tap: String, weights: Weights, side: Option<Weights> },
    Pool { name: String },
}

impl Weights {
    fn new(conv: Conv) -> Result<Self> {
        let shape = conv.shape();
        let bias = Frozen::new([conv.bias.len()], conv.bias)?;
        Ok(Weights { weight: Frozen::new(shape, conv.weight)?, bias })
    }

    fn record(&self, tape: &mut Tape, x: Var, settings: Conv2d) -> Result<Var> {
        let (weight, bias) = (tape.frozen(&self.weight), tape.frozen(&self.bias));
        ops::conv2d(tape, x, weight, Some(bias), settings)
    }
}

impl Graph {
    /// Takes over a network's weights.
    ///
    /// # Errors
    /// [`Error::Shape`] when a convolution's numbers do not fill its shape.
    pub fn new(mut network: Network) -> Result<Self> {
        let of = &network.preprocess;
        let channel =
            |i: usize| Channel { from: of.order[i], scale: of.scale[i], offset: of.offset[i] };
        let channels = [0, 1, 2].map(channel);
        let mut rows = Vec::new();
        for layer in network.layers {
            let tap = layer.tap().unwrap_or_default();
            rows.push(match layer {
                Layer::Conv { name, conv } => {
                    let side = network.sides.remove(&tap).map(Weights::new).transpose()?;
                    Row::Conv { name, tap, weights: Weights::new(conv)?, side }
                }
                Layer::Pool { name } => Row::Pool { name },
            });
        }
        let colour = network.colour.map(Weights::new).transpose()?;
        let Network { padding, pool, side, .. } = network;
        let precision = Precision::F32;
        Ok(Graph { channels, paddings: [padding; 2], pool, side, precision, colour, rows })
    }

    /// With another padding of the first convolution: zeros there are a dark frame around the picture.
    pub fn with_first_padding(mut self, padding: Padding) -> Self {
        self.paddings[0] = padding;
        self
    }

    /// With its maps and their gradients stored otherwise; the picture's gradient of a loss then needs
    /// [`loss_scale`](crate::tape::loss_scale).
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// How its maps are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// That every map of a picture of `width`×`height` px is one that the device can bind; to be
    /// asked before any work.
    ///
    /// # Errors
    /// [`Error::Memory`] with the largest size of this shape that works.
    pub fn check_fits(&self, gpu: &Gpu, (width, height): (u32, u32)) -> Result<()> {
        let most = gpu.report().max_binding_bytes as f64;
        let (bytes, layer) = self.largest_map((width, height));
        if bytes <= most {
            return Ok(());
        }
        let mut largest = (f64::from(width.max(height)) * (most / bytes).sqrt()) as u32;
        // The short side is rounded, which may be just too much.
        while largest > 1 && self.largest_map(fitted_size((width, height), largest)).0 > most {
            largest -= 1;
        }
        Err(Error::Memory(format!(
            "a picture of {width}×{height} px needs a buffer of {:.0} MB at {layer}, and {} binds at \
             most {:.0} MB at once: take {} {largest} or less",
            bytes / 1e6,
            gpu.report().name,
            most / 1e6,
            Knob::Size,
        )))
    }

    /// How far the deepest of `taps` looks.
    pub fn reach(&self, taps: &[&str]) -> Reach {
        let (mut stride, mut reach) = (1, Reach { stride: 1, halo: 0 });
        let mut halo = 0;
        for row in &self.rows {
            match row {
                // A 3×3 kernel reads one more on each side.
                Row::Conv { name, tap, .. } => {
                    halo += stride;
                    if taps.contains(&tap.as_str()) || taps.contains(&name.as_str()) {
                        reach = Reach { stride, halo };
                    }
                }
                Row::Pool { .. } => stride *= 2,
            }
        }
        reach
    }

    /// Channels of what the losses see at `tap`, and the number of pools before it.
    ///
    /// # Errors
    /// [`Error::Network`] when there is no such tap.
    pub fn at(&self, tap: &str) -> Result<(usize, u32)> {
        let mut pools = 0;
        for row in &self.rows {
            match row {
                Row::Conv { tap: of, weights, side, .. } if of == tap => {
                    let seen = side.as_ref().unwrap_or(weights);
                    return Ok((seen.bias.data().len(), pools));
                }
                Row::Conv { name, weights, .. } if name == tap => {
                    return Ok((weights.bias.data().len(), pools));
                }
                Row::Conv { .. } => {}
                Row::Pool { .. } => pools += 1,
            }
        }
        Err(no_tap(tap))
    }

    /// The side of the largest square picture all of whose maps the device can bind.
    pub(crate) fn largest_square(&self, gpu: &Gpu) -> usize {
        let (bytes, _) = self.largest_map((1, 1));
        (gpu.report().max_binding_bytes as f64 / bytes).sqrt() as usize
    }

    /// Output and input channels of every 3×3 convolution; `None` where a pool halves the map.
    pub(crate) fn convolutions(&self) -> impl Iterator<Item = Option<[usize; 2]>> {
        self.rows.iter().map(|row| match row {
            Row::Conv { weights, .. } => {
                let dims = weights.weight.shape().dims();
                Some([dims[0], dims[1]])
            }
            Row::Pool { .. } => None,
        })
    }

    /// Bytes of the largest map of a picture of that size, and its layer.
    fn largest_map(&self, (width, height): (u32, u32)) -> (f64, &str) {
        let mut pixels = f64::from(width) * f64::from(height);
        let number = self.precision.bytes() as f64;
        let mut largest = (12.0 * pixels, "the picture");
        for row in &self.rows {
            match row {
                Row::Conv { name, weights, side, .. } => {
                    let channels = |w: &Weights| w.bias.data().len();
                    let wide = side.as_ref().map_or(0, channels).max(channels(weights));
                    let bytes = number * wide as f64 * pixels;
                    if bytes > largest.0 {
                        largest = (bytes, name.as_str());
                    }
                }
                Row::Pool { .. } => pixels /= 4.0,
            }
        }
        largest
    }

    /// Records the network up to the deepest of `taps` over a picture (3×H×W, RGB in 0..1), and calls
    /// `visit` at each tap with what is seen there: C×H'×W' after the ReLU, or through the side map
    /// where there is one; at `conv1_1` and its like before the ReLU. What `visit` records stands between the layers,
    /// so that in the backward pass the gradients of a tap are needed only when its layer is reached, and share
    /// memory until then.
    ///
    /// # Errors
    /// [`Error::Network`] when a tap is missing; otherwise what recording can give.
    pub fn record(
        &self,
        tape: &mut Tape,
        picture: Var,
        taps: &[&str],
        visit: &mut dyn FnMut(&mut Tape, &str, Var) -> Result<()>,
    ) -> Result<()> {
        let mut missing: Vec<&str> = taps.to_vec();
        tape.scope("input");
        let mut x = ops::normalize(tape, picture, &self.channels, self.precision)?;
        let pointwise = |relu| Conv2d { padding: 0, relu, ..Conv2d::default() };
        if let Some(colour) = &self.colour {
            x = colour.record(tape, x, pointwise(false))?;
        }
        for (at, row) in self.rows.iter().enumerate() {
            if missing.is_empty() {
                break;
            }
            match row {
                Row::Conv { name, tap, weights, side } => {
                    tape.scope(name.as_str());
                    let mode = self.paddings[at.min(1)];
                    let plain = missing.contains(&name.as_str());
                    let settings = Conv2d { mode, relu: !plain, ..Conv2d::default() };
                    x = weights.record(tape, x, settings)?;
                    if plain {
                        missing.retain(|m| m != name);
                        visit(tape, name, x)?;
                        tape.scope(name.as_str());
                        x = ops::relu(tape, x)?;
                    }
                    if missing.contains(&tap.as_str()) {
                        missing.retain(|m| m != tap);
                        tape.scope(format!("side {tap}"));
                        let value = match side {
                            Some(side) => {
                                side.record(tape, x, pointwise(self.side == Side::Relu))?
                            }
                            None => x,
                        };
                        visit(tape, tap, value)?;
                    }
                }
                Row::Pool { name } => {
                    tape.scope(name.as_str());
                    x = match self.pool {
                        Pool::Max => ops::max_pool(tape, x, 2, 2)?,
                        Pool::Avg => ops::avg_pool(tape, x, 2, 2)?,
                    };
                }
            }
        }
        missing.first().map_or(Ok(()), |tap| Err(no_tap(tap)))
    }
}

fn no_tap(tap: &str) -> Error {
    Error::Network { name: "network".into(), what: format!("it has no layer {tap}") }
}

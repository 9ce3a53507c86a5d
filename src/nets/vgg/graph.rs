//! A network on the tape.

use super::network::{Conv, Layer, Network, Pool, Side};
use crate::error::{Error, Knob, Result};
use crate::gpu::{Frozen, Gpu};
use crate::nets::octave;
use crate::nets::reach::{Chain, Reach, Step};
use crate::nets::weights::{Parameter, Parameters, Vars};
use crate::ops::conv2d::{Class, Direction};
use crate::ops::normalize::Channel;
use crate::ops::{self, Conv2d, Padding};
use crate::shape::{Precision, Wrap, fitted_size};
use crate::tape::{Tape, Var};
use std::collections::BTreeMap;

/// A network whose weights are ready to be recorded, any number of times. Cloning shares them.
#[derive(Clone)]
pub struct Graph {
    channels: [Channel; 3],
    /// Of the first layer, and of the others.
    paddings: [Padding; 2],
    wrap: Wrap,
    pool: Pool,
    side: Side,
    precision: Precision,
    colour: bool,
    rows: Vec<Row>,
    parameters: Parameters,
}

/// A layer; convolutions with their output and input channels, and the output channels of their side map.
#[derive(Clone)]
enum Row {
    Conv { name: String, tap: String, channels: [usize; 2], side: Option<usize> },
    Pool { name: String },
}

impl Row {
    fn step(&self) -> Step {
        match self {
            Row::Conv { .. } => Step::Window { kernel: 3, stride: 1, padding: 1 },
            Row::Pool { .. } => Step::Window { kernel: 2, stride: 2, padding: 0 },
        }
    }

    /// The channels of what is seen at a tap, if it is here.
    fn seen(&self, at: &str) -> Option<usize> {
        match self {
            Row::Conv { tap, channels, side, .. } if tap == at => Some(side.unwrap_or(channels[0])),
            Row::Conv { name, channels, .. } if name == at => Some(channels[0]),
            _ => None,
        }
    }
}

/// What the losses see at a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapMap {
    /// Its channels.
    pub channels: usize,
    /// The layers before it.
    pub chain: Chain,
}

impl TapMap {
    /// Width and height of the map of a picture of that width and height.
    pub fn size(&self, (width, height): (usize, usize)) -> (usize, usize) {
        (self.chain.output(width), self.chain.output(height))
    }

    /// Its shape for a picture of that width and height: C×H×W.
    pub fn shape(&self, size: (usize, usize)) -> [usize; 3] {
        let (width, height) = self.size(size);
        [self.channels, height, width]
    }
}

/// Adds a convolution's weights under the name that a file has for them.
fn insert(parameters: &mut Parameters, name: &str, conv: Conv) -> Result<()> {
    let (shape, channels) = (conv.shape(), conv.bias.len());
    let (weight, bias) = (Frozen::new(shape, conv.weight)?, Frozen::new([channels], conv.bias)?);
    parameters.insert(format!("{name}.weight"), Parameter::Frozen(weight));
    parameters.insert(format!("{name}.bias"), Parameter::Frozen(bias));
    Ok(())
}

/// Records a convolution by the weights of a name.
fn convolve(tape: &mut Tape, x: Var, (name, vars): (&str, &Vars), settings: Conv2d) -> Result<Var> {
    let weight = vars.get(&format!("{name}.weight"))?;
    let bias = vars.get(&format!("{name}.bias"))?;
    ops::conv2d(tape, x, weight, Some(bias), settings)
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
        let (mut rows, mut parameters) = (Vec::new(), Parameters::default());
        for layer in network.layers {
            let tap = layer.tap().unwrap_or_default();
            rows.push(match layer {
                Layer::Conv { name, conv } => {
                    let channels = [conv.out_channels, conv.in_channels];
                    let side = network.sides.remove(&tap);
                    let width = side.as_ref().map(|side| side.out_channels);
                    insert(&mut parameters, &name, conv)?;
                    if let Some(side) = side {
                        insert(&mut parameters, &format!("side.{tap}"), side)?;
                    }
                    Row::Conv { name, tap, channels, side: width }
                }
                Layer::Pool { name } => Row::Pool { name },
            });
        }
        let colour = network.colour.is_some();
        if let Some(conv) = network.colour {
            insert(&mut parameters, "colour", conv)?;
        }
        let Network { padding, pool, side, .. } = network;
        let (paddings, precision) = ([padding; 2], Precision::F32);
        let wrap = Wrap::None;
        Ok(Graph { channels, paddings, wrap, pool, side, precision, colour, rows, parameters })
    }

    /// Its weights by the names that a file has for them.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// With other weights of the same names and shapes, such as [variables](Parameters::variables).
    ///
    /// # Errors
    /// [`Error::Network`] when one is missing or of another shape.
    pub fn with_parameters(mut self, parameters: Parameters) -> Result<Self> {
        for (name, old) in self.parameters.iter() {
            let (old, new) = (old.shape(), parameters.get(name)?.shape());
            if old != new {
                let what = format!("{name} must be {old}, not {new}");
                return Err(Error::Network { name: "network".into(), what });
            }
        }
        self.parameters = parameters;
        Ok(self)
    }

    /// With another padding of the first convolution: zeros there are a dark frame around the picture.
    pub fn with_first_padding(mut self, padding: Padding) -> Self {
        self.paddings[0] = padding;
        self
    }

    /// For pictures whose edges meet: there, convolutions and octaves see the other side, and no padding. Where the sides are
    /// multiples of the loss' stride ([`LossSettings::reach`](crate::loss::LossSettings::reach)), it does not matter where such a
    /// picture begins. Style pictures are looked at without.
    #[must_use]
    pub fn with_wrap(mut self, wrap: Wrap) -> Self {
        self.wrap = wrap;
        self
    }

    /// Which edges of the picture meet.
    pub fn wrap(&self) -> Wrap {
        self.wrap
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

    /// How far the network looks to the farthest of `taps`.
    pub fn reach(&self, taps: &[&str]) -> Reach {
        let seen = taps.iter().filter_map(|tap| self.at(tap).ok());
        seen.fold(Chain::default().reach(), |reach, map| reach.and(map.chain.reach()))
    }

    /// What the losses see at `tap`.
    ///
    /// # Errors
    /// [`Error::Network`] when there is no such tap.
    pub fn at(&self, tap: &str) -> Result<TapMap> {
        let (layer, octave) = octave::of(tap);
        let found = self.rows.iter().enumerate();
        let found = found.filter_map(|(at, row)| Some((at, row.seen(layer)?))).next();
        let (at, channels) = found.ok_or_else(|| no_tap(tap))?;
        let halves = std::iter::repeat_n(octave::HALF, octave);
        let chain = Chain::new(halves.chain(self.rows[..=at].iter().map(Row::step)));
        Ok(TapMap { channels, chain })
    }

    /// The side of the largest square picture all of whose maps the device can bind.
    pub(crate) fn largest_square(&self, gpu: &Gpu) -> usize {
        let (bytes, _) = self.largest_map((1, 1));
        (gpu.report().max_binding_bytes as f64 / bytes).sqrt() as usize
    }

    /// What the tuner chooses variants for: the classes of its 3×3 convolutions' passes, over pictures of that width and
    /// height.
    pub fn classes(&self, (width, height): (u32, u32)) -> Vec<Class> {
        let (mut size, mut classes) = ([height as usize, width as usize], BTreeMap::new());
        for row in &self.rows {
            let Row::Conv { channels: [outputs, inputs], .. } = *row else {
                size = size.map(|extent| extent / 2);
                continue;
            };
            for (direction, inputs, outputs) in
                [(Direction::Forward, inputs, outputs), (Direction::Input, outputs, inputs)]
            {
                let (precision, [kernel, stride, padding]) = (self.precision, [3, 1, 1]);
                let class =
                    Class { inputs, outputs, direction, kernel, stride, padding, precision, size };
                classes.entry(class.to_string()).or_insert(class);
            }
        }
        classes.into_values().collect()
    }

    /// Bytes of the largest map of a picture of that size, and its layer.
    fn largest_map(&self, (width, height): (u32, u32)) -> (f64, &str) {
        let mut pixels = f64::from(width) * f64::from(height);
        let number = self.precision.bytes() as f64;
        let mut largest = (12.0 * pixels, "the picture");
        for row in &self.rows {
            pixels *= row.step().scale().powi(2);
            if let Row::Conv { name, channels, side, .. } = row {
                let bytes = number * side.unwrap_or(0).max(channels[0]) as f64 * pixels;
                if bytes > largest.0 {
                    largest = (bytes, name.as_str());
                }
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
        let vars = self.parameters.on(tape);
        self.record_with(tape, &vars, picture, taps, visit)
    }

    /// Records the network up to `tap` over a picture and hands on what is seen there, C×H'×W': see [`Graph::record`].
    ///
    /// # Errors
    /// As [`Graph::record`].
    pub fn encode(&self, tape: &mut Tape, picture: Var, tap: &str) -> Result<Var> {
        let mut map = picture;
        self.record(tape, picture, &[tap], &mut |_, _, seen| {
            map = seen;
            Ok(())
        })?;
        Ok(map)
    }

    /// As [`Graph::record`], by weights that are on the tape already: those of [`Parameters::on`], whose gradients the tape
    /// can then be asked for.
    ///
    /// # Errors
    /// As [`Graph::record`].
    pub fn record_with(
        &self,
        tape: &mut Tape,
        vars: &Vars,
        picture: Var,
        taps: &[&str],
        visit: &mut dyn FnMut(&mut Tape, &str, Var) -> Result<()>,
    ) -> Result<()> {
        let taps: Vec<(&str, usize)> = taps.iter().map(|tap| octave::of(tap)).collect();
        let coarsest = taps.iter().map(|(_, octave)| *octave).max().unwrap_or(0);
        let mut picture = picture;
        for octave in 0..=coarsest {
            if octave > 0 {
                tape.scope(octave::tap("picture", octave));
                picture = ops::downsample(tape, picture, self.wrap)?;
            }
            let here: Vec<&str> =
                taps.iter().filter(|(_, at)| *at == octave).map(|(layer, _)| *layer).collect();
            if !here.is_empty() {
                self.record_octave(tape, vars, (picture, octave), &here, visit)?;
            }
        }
        Ok(())
    }

    /// As [`Graph::record_with`], for the layers of one octave of the picture.
    fn record_octave(
        &self,
        tape: &mut Tape,
        vars: &Vars,
        (picture, octave): (Var, usize),
        layers: &[&str],
        visit: &mut dyn FnMut(&mut Tape, &str, Var) -> Result<()>,
    ) -> Result<()> {
        let mut missing: Vec<&str> = layers.to_vec();
        let at_octave = |name: &str| octave::tap(name, octave);
        tape.scope(at_octave("input"));
        let mut x = ops::normalize(tape, picture, &self.channels, self.precision)?;
        if self.colour {
            x = convolve(tape, x, ("colour", vars), pointwise(false))?;
        }
        for (at, row) in self.rows.iter().enumerate() {
            if missing.is_empty() {
                break;
            }
            let Row::Conv { name, tap, side, .. } = row else {
                x = self.record_pool(tape, (row, octave), x)?;
                continue;
            };
            tape.scope(at_octave(name));
            let mode = self.paddings[at.min(1)];
            let plain = missing.contains(&name.as_str());
            let (relu, wrap) = (!plain, self.wrap);
            let settings = Conv2d { mode, wrap, relu, ..Conv2d::default() };
            x = convolve(tape, x, (name, vars), settings)?;
            if plain {
                missing.retain(|m| m != name);
                visit(tape, &at_octave(name), x)?;
                tape.scope(at_octave(name));
                x = ops::relu(tape, x)?;
            }
            if missing.contains(&tap.as_str()) {
                missing.retain(|m| m != tap);
                tape.scope(format!("side {}", at_octave(tap)));
                let value = match side {
                    Some(_) => {
                        let name = format!("side.{tap}");
                        let settings = pointwise(self.side == Side::Relu);
                        convolve(tape, x, (&name, vars), settings)?
                    }
                    None => x,
                };
                visit(tape, &at_octave(tap), value)?;
            }
        }
        missing.first().map_or(Ok(()), |tap| Err(no_tap(tap)))
    }

    fn record_pool(&self, tape: &mut Tape, (row, octave): (&Row, usize), x: Var) -> Result<Var> {
        if let Row::Pool { name } = row {
            tape.scope(octave::tap(name, octave));
        }
        match self.pool {
            Pool::Max => ops::max_pool(tape, x, 2, 2),
            Pool::Avg => ops::avg_pool(tape, x, 2, 2),
        }
    }
}

fn pointwise(relu: bool) -> Conv2d {
    Conv2d { padding: 0, relu, ..Conv2d::default() }
}

fn no_tap(tap: &str) -> Error {
    Error::Network { name: "network".into(), what: format!("it has no layer {tap}") }
}

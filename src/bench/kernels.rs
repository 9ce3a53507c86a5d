//! Single layers: every direction and variant, checked and timed.

use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::peak::Ceilings;
use super::{median, numbers, record, timed};
use crate::error::Result;
use crate::gpu::{Frozen, Gpu, Program, Tensor};
use crate::nets::{Conv, Layer, Network};
use crate::ops::conv2d::{self, Conv2d, conv2d};
use crate::ops::gram::{self, Gram};
use crate::shape::Precision;

/// Results that are checked against f64 on the host.
const SAMPLES: usize = 64;
/// Seconds that a kernel is timed for.
const BUDGET: f64 = 0.3;
/// Kernels so many times slower than another variant are timed once.
const HOPELESS: f64 = 10.0;

/// An operation that has variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// 3×3 convolutions.
    Conv2d,
    /// Gram matrices.
    Gram,
}

impl Op {
    /// Both, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::Conv2d, Self::Gram];

    /// As in the catalogue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv2d => conv2d::ENTRY.name,
            Self::Gram => gram::ENTRY.name,
        }
    }

    fn variants(self) -> Vec<&'static str> {
        match self {
            Self::Conv2d => conv2d::Variant::ALL.map(conv2d::Variant::name).to_vec(),
            Self::Gram => gram::Variant::ALL.map(gram::Variant::name).to_vec(),
        }
    }
}

/// From inputs to outputs, or from the outputs' gradient to the inputs'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient to the input.
    Backward,
}

/// A layer, a direction, a variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KernelRow {
    /// `conv2d` or `gram`.
    pub op: String,
    /// The layer of VGG-19, such as `conv1_2`.
    pub layer: String,
    /// Input channels, output channels, height, width.
    pub shape: [usize; 4],
    /// Forward or backward.
    pub direction: Direction,
    /// How it is computed.
    pub variant: String,
    /// How maps are stored: `f32` or `f16`.
    #[serde(default = "f32")]
    pub precision: String,
    /// This is what runs when nobody forces a variant.
    pub chosen: bool,
    /// GPU time (time until done, on adapters without timestamps) in microseconds: the median.
    pub median_us: f64,
    /// The fastest and the slowest replay's.
    pub spread_us: [f64; 2],
    /// What the direct computation takes, over the time: Winograd's can be above the ceiling.
    pub gflops: f64,
    /// Inputs, weights and outputs, moved once, over the time.
    pub gbps: f64,
    /// `gflops` over the roofline at this work's ratio of flops to bytes.
    pub ceiling_share: f64,
    /// Root mean square error of some results against f64, over the root mean square of the results.
    pub error: f64,
}

/// What older reports were measured with.
fn f32() -> String {
    Precision::F32.to_string()
}

/// A layer as the bench sees it.
struct Work<'a> {
    precision: Precision,
    op: Op,
    layer: &'a str,
    /// Height and width of the map.
    side: usize,
    conv: &'a Conv,
}

/// Measures the layers of a network for pictures of `size`×`size` px; `watch` gets every row as it comes.
///
/// # Errors
/// Whatever the driver reports.
pub async fn measure(
    gpu: &Gpu,
    ceilings: &Ceilings,
    network: &Network,
    ops: &[Op],
    (size, precision): (u32, Precision),
    watch: &mut dyn FnMut(&KernelRow),
) -> Result<Vec<KernelRow>> {
    let (mut rows, mut side) = (Vec::new(), size as usize);
    for layer in &network.layers {
        let (name, conv) = match layer {
            Layer::Conv { name, conv } => (name, conv),
            Layer::Pool { .. } => {
                side /= 2;
                continue;
            }
        };
        for op in ops {
            // The style layers are each block's first.
            if *op == Op::Gram && !name.ends_with("_1") {
                continue;
            }
            let work = Work { precision, op: *op, layer: name, side, conv };
            for direction in [Direction::Forward, Direction::Backward] {
                work.measure(gpu, ceilings, direction, &mut rows, watch).await?;
            }
        }
    }
    Ok(rows)
}

impl Work<'_> {
    /// Channels in and out.
    fn channels(&self) -> [usize; 2] {
        match self.op {
            Op::Conv2d => [self.conv.in_channels, self.conv.out_channels],
            Op::Gram => [self.conv.out_channels; 2],
        }
    }

    /// Numbers of the input and of the output.
    fn elements(&self) -> [usize; 2] {
        let ([c, o], pixels) = (self.channels(), self.side * self.side);
        [c * pixels, if self.op == Op::Gram { c * o } else { o * pixels }]
    }

    fn flops(&self) -> f64 {
        let ([c, o], pixels) = (self.channels(), self.side * self.side);
        2.0 * (c * o * pixels) as f64 * if self.op == Op::Gram { 1.0 } else { 9.0 }
    }

    /// Inputs, weights and outputs, each once.
    fn bytes(&self) -> f64 {
        let [input, output] = self.elements().map(|count| count as f64);
        let map = self.precision.bytes() as f64;
        match self.op {
            Op::Gram => map * input + 4.0 * output,
            Op::Conv2d => map * (input + output) + 4.0 * self.conv.weight.len() as f64,
        }
    }

    async fn measure(
        &self,
        gpu: &Gpu,
        ceilings: &Ceilings,
        direction: Direction,
        rows: &mut Vec<KernelRow>,
        watch: &mut dyn FnMut(&KernelRow),
    ) -> Result<()> {
        let (chosen, _) = self.record(gpu, direction, None)?;
        let mut best = f64::INFINITY;
        for (index, variant) in self.op.variants().into_iter().enumerate() {
            let (program, result) = self.record(gpu, direction, Some(index))?;
            // A variant that can't take this layer hands it to another, which has its own row.
            if !self.is(variant, &program) {
                continue;
            }
            let start = Instant::now();
            program.run().await?;
            let mut laps = vec![start.elapsed().as_secs_f64()];
            let error = self.error(direction, &gpu.read(&result).await?);
            if laps[0] < HOPELESS * best {
                laps = timed(gpu, &program, BUDGET).await?;
            }
            let seconds = median(&mut laps);
            best = best.min(seconds);
            let ([c, o], flops) = (self.channels(), self.flops());
            let roof = match variant {
                "cooperative" => ceilings.matrix_roofline(flops, self.bytes()),
                _ => ceilings.roofline(flops, self.bytes()),
            };
            let row = KernelRow {
                op: self.op.name().into(),
                layer: self.layer.into(),
                shape: [c, o, self.side, self.side],
                direction,
                variant: variant.into(),
                precision: self.precision.to_string(),
                chosen: program.labels().eq(chosen.labels()),
                median_us: 1e6 * seconds,
                spread_us: [1e6 * laps[0], 1e6 * laps[laps.len() - 1]],
                gflops: flops / seconds / 1e9,
                gbps: self.bytes() / seconds / 1e9,
                ceiling_share: flops / seconds / roof,
                error,
            };
            watch(&row);
            rows.push(row);
        }
        Ok(())
    }

    /// Whether a program runs the variant of that name: whether it dispatches a shader of that variant's.
    fn is(&self, variant: &str, program: &Program) -> bool {
        let shaders: &[&str] = match (self.op, variant) {
            (Op::Conv2d, "baseline") => &["conv2d."],
            (Op::Conv2d, "broadcast") => &["conv2d_broadcast."],
            (Op::Conv2d, "tiled") => &["conv2d_tiled."],
            (Op::Conv2d, "cooperative") => &["conv2d_cooperative."],
            (Op::Conv2d, "uniform") => &["conv2d_uniform."],
            (Op::Conv2d, _) => &["winograd."],
            (Op::Gram, "tiled") => &["gram.partial_products", "product."],
            (Op::Gram, _) => &["gram_split.", "product_uniform.", "product_broadcast."],
        };
        program.labels().any(|label| shaders.iter().any(|shader| label.contains(shader)))
    }

    /// The program, and where its result is.
    fn record(
        &self,
        gpu: &Gpu,
        direction: Direction,
        variant: Option<usize>,
    ) -> Result<(Program, Tensor)> {
        let shape = [self.channels()[0], self.side, self.side];
        let backward = direction == Direction::Backward;
        record(gpu, (shape, self.precision), backward, |tape, x| match self.op {
            Op::Gram => tape.record(Gram { variant: variant.map(|v| gram::Variant::ALL[v]) }, &[x]),
            Op::Conv2d => {
                let weight = Frozen::new(self.conv.shape(), self.conv.weight.clone())?;
                let weight = tape.frozen(&weight);
                let variant = variant.map(|v| conv2d::Variant::ALL[v]);
                conv2d(tape, x, weight, None, Conv2d { variant, ..Conv2d::default() })
            }
        })
    }

    /// The error of some results, spread over all of them.
    fn error(&self, direction: Direction, results: &[f32]) -> f64 {
        let [inputs, outputs] = self.elements().map(numbers);
        let (mut wrong, mut power) = (0.0, 0.0);
        for sample in 0..SAMPLES {
            // The golden ratio spreads them; a map's corners come first.
            let at = match sample {
                0 => 0,
                1 => results.len() - 1,
                _ => ((sample as f64 * 0.618_033_988_75).fract() * results.len() as f64) as usize,
            };
            let exact = match (self.op, direction) {
                (Op::Conv2d, Direction::Forward) => self.conv_at(&inputs, at, false),
                (Op::Conv2d, Direction::Backward) => self.conv_at(&outputs, at, true),
                (Op::Gram, Direction::Forward) => self.gram_at(&inputs, at),
                (Op::Gram, Direction::Backward) => self.gram_gradient_at(&inputs, &outputs, at),
            };
            wrong += (f64::from(results[at]) - exact).powi(2);
            power += exact.powi(2);
        }
        (wrong / power).sqrt()
    }

    /// An element of the convolution, or of its gradient to the input for the upstream gradient `x`.
    fn conv_at(&self, x: &[f32], at: usize, transposed: bool) -> f64 {
        let (side, [c, o]) = (self.side, self.channels());
        let (own, row, column) = (at / side / side, at / side % side, at % side);
        let (others, mut sum) = (if transposed { o } else { c }, 0.0);
        for other in 0..others {
            for tap in 0..9 {
                let (r, s) = (tap / 3, tap % 3);
                let (dr, ds) = if transposed { (2 - r, 2 - s) } else { (r, s) };
                // One pixel of zeros around the map.
                let (r1, s1) = (row + dr, column + ds);
                if (1..=side).contains(&r1) && (1..=side).contains(&s1) {
                    let (out, input) = if transposed { (other, own) } else { (own, other) };
                    let weight = self.conv.weight[((out * c + input) * 3 + r) * 3 + s];
                    let value = x[(other * side + r1 - 1) * side + s1 - 1];
                    sum += f64::from(weight) * f64::from(value);
                }
            }
        }
        sum
    }

    fn gram_at(&self, x: &[f32], at: usize) -> f64 {
        let ([c, _], pixels) = (self.channels(), self.side * self.side);
        let row = |channel: usize| &x[channel * pixels..][..pixels];
        let products =
            row(at / c).iter().zip(row(at % c)).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum::<f64>() / pixels as f64
    }

    fn gram_gradient_at(&self, x: &[f32], dy: &[f32], at: usize) -> f64 {
        let ([c, _], pixels) = (self.channels(), self.side * self.side);
        let (i, pixel) = (at / pixels, at % pixels);
        let slope = |j: usize| f64::from(dy[i * c + j]) + f64::from(dy[j * c + i]);
        (0..c).map(|j| slope(j) * f64::from(x[j * pixels + pixel])).sum::<f64>() / pixels as f64
    }
}

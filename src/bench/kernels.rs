//! Operations of the catalogue at a network's layers: every direction and variant, checked and timed.

use web_time::Instant;

use super::peak::Ceilings;
use super::rows::{Direction, KernelRow};
use crate::error::Result;
use crate::gpu::{Gpu, Program};
use crate::measure::{input, median, numbers, record, timed};
use crate::nets::{Layer, Network};
use crate::ops::reference::Array;
use crate::ops::{CATALOGUE, Case, Entry, Site, conv2d, gram};
use crate::shape::{Precision, Shape};

/// Results that are checked against f64 on the host.
const SAMPLES: usize = 64;
/// Seconds that a kernel is timed for.
const BUDGET: f64 = 0.3;
/// Kernels so many times slower than another variant are timed once.
const HOPELESS: f64 = 10.0;
/// And those whose first run takes so many seconds.
const TOO_LONG: f64 = 10.0;

/// What is measured when nobody names an operation: nearly all of a step's time.
pub fn usual() -> Vec<&'static Entry> {
    ops().into_iter().filter(|op| is_usual(op)).collect()
}

/// Every operation of the catalogue, the usual ones first.
pub fn ops() -> Vec<&'static Entry> {
    let mut all: Vec<_> = CATALOGUE.iter().collect();
    all.sort_by_key(|op| !is_usual(op));
    all
}

fn is_usual(op: &Entry) -> bool {
    [conv2d::ENTRY.name, gram::ENTRY.name].contains(&op.name)
}

/// Measures operations at the layers of a network for pictures of `size`×`size` px; `watch` gets every row as it comes.
///
/// # Errors
/// Whatever the driver reports.
pub async fn measure(
    gpu: &Gpu,
    ceilings: &Ceilings,
    network: &Network,
    ops: &[&'static Entry],
    (size, precision): (u32, Precision),
    watch: &mut dyn FnMut(&KernelRow),
) -> Result<Vec<KernelRow>> {
    let (mut rows, mut side, mut first) = (Vec::new(), size as usize, true);
    for layer in &network.layers {
        let Layer::Conv { name, conv } = layer else {
            (side, first) = (side / 2, true);
            continue;
        };
        let site = &Site { shape: conv.shape(), weight: &conv.weight, size: [side; 2], first };
        first = false;
        for op in ops {
            let bench = Bench { gpu, ceilings, op, site, layer: name, precision };
            for direction in Direction::ALL {
                bench.measure(direction, &mut rows, watch).await?;
            }
        }
    }
    Ok(rows)
}

/// An operation at a layer.
struct Bench<'a> {
    gpu: &'a Gpu,
    ceilings: &'a Ceilings,
    op: &'static Entry,
    site: &'a Site<'a>,
    layer: &'a str,
    precision: Precision,
}

impl Bench<'_> {
    async fn measure(
        &self,
        direction: Direction,
        rows: &mut Vec<KernelRow>,
        watch: &mut dyn FnMut(&KernelRow),
    ) -> Result<()> {
        let Some(case) = (self.op.bench.at)(self.site, None) else { return Ok(()) };
        let Some(wanted) = self.wanted(&case, direction) else { return Ok(()) };
        let (chosen, _) = record(self.gpu, &case, self.precision, wanted)?;
        let samples = Samples::of(&case, wanted)?;
        let only: &[(&str, &[&str])] = &[("baseline", &[""])];
        let variants = self.op.bench.variants;
        let mut best = f64::INFINITY;
        for (variant, kernels) in if variants.is_empty() { only } else { variants } {
            let Some(case) = (self.op.bench.at)(self.site, Some(variant)) else { continue };
            let (program, result) = record(self.gpu, &case, self.precision, wanted)?;
            // A variant that can't take this layer hands it to another, which has its own row.
            if !runs(&program, kernels) {
                continue;
            }
            let start = Instant::now();
            program.run().await?;
            let mut laps = vec![start.elapsed().as_secs_f64()];
            let error = samples.error(&self.gpu.read(&result).await?);
            // A first run may have compiled the kernel.
            if laps[0] < TOO_LONG.min(BUDGET.max(HOPELESS * best)) {
                laps = timed(self.gpu, &program, BUDGET).await?;
            }
            best = best.min(median(&mut laps));
            let chosen = program.labels().eq(chosen.labels());
            let row = self.row(&case, direction, variant, chosen, &mut laps, error)?;
            watch(&row);
            rows.push(row);
        }
        Ok(())
    }

    /// The input whose gradient a direction asks for; no such direction, or `Some(None)`: the output.
    fn wanted(&self, case: &Case, direction: Direction) -> Option<Option<usize>> {
        match direction {
            Direction::Forward => Some(None),
            Direction::Backward => (!case.frozen.contains(&0)).then_some(Some(0)),
            // Weights get a gradient only where maps are f32.
            Direction::Weight => {
                self.op.bench.weight.filter(|_| self.precision == Precision::F32).map(Some)
            }
        }
    }

    fn row(
        &self,
        case: &Case,
        direction: Direction,
        variant: &str,
        chosen: bool,
        laps: &mut [f64],
        error: f64,
    ) -> Result<KernelRow> {
        let seconds = median(laps);
        let (flops, bytes) = (case.op.flops(&case.inputs) as f64, bytes(case, self.precision)?);
        let roof = match variant {
            "cooperative" => self.ceilings.matrix_roofline(flops, bytes),
            _ => self.ceilings.roofline(flops, bytes),
        };
        let channels = |shape: &Shape| shape.dims().first().copied().unwrap_or(1);
        let [h, w] = self.site.size;
        Ok(KernelRow {
            op: self.op.name.into(),
            layer: self.layer.into(),
            shape: [channels(&case.inputs[0]), channels(&output(case)?), h, w],
            direction,
            variant: variant.into(),
            precision: self.precision.to_string(),
            chosen,
            median_us: 1e6 * seconds,
            spread_us: [1e6 * laps[0], 1e6 * laps[laps.len() - 1]],
            gflops: flops / seconds / 1e9,
            gbps: bytes / seconds / 1e9,
            ceiling_share: flops / seconds / roof,
            error,
        })
    }
}

/// Whether a program dispatches one of these kernels, which are given as `shader.` or `shader.entry`.
fn runs(program: &Program, kernels: &[&str]) -> bool {
    let kernel = |label: &str| label.rsplit(' ').next().unwrap_or_default().to_string();
    program.labels().map(kernel).any(|label| kernels.iter().any(|name| label.starts_with(name)))
}

fn output(case: &Case) -> Result<Shape> {
    case.op.shape(&case.inputs.iter().collect::<Vec<_>>())
}

/// Inputs and output, each once.
fn bytes(case: &Case, precision: Precision) -> Result<f64> {
    let maps = case.op.maps();
    let stored = |at: usize| if at < maps { precision } else { Precision::F32 };
    let precisions: Vec<_> = (0..case.inputs.len()).map(stored).collect();
    let inputs = case.inputs.iter().zip(&precisions);
    let inputs: u64 = inputs.map(|(shape, p)| p.bytes() * shape.elements() as u64).sum();
    let output = output(case)?.elements() as u64 * case.op.precision(&precisions).bytes();
    Ok((inputs + output) as f64)
}

/// Some elements of a result, in f64.
struct Samples {
    at: Vec<usize>,
    exact: Vec<f64>,
}

impl Samples {
    /// Elements spread over the output or the gradient of the input `wanted`.
    fn of(case: &Case, wanted: Option<usize>) -> Result<Self> {
        let output = output(case)?;
        let count = wanted.map_or(&output, |input| &case.inputs[input]).elements();
        // The golden ratio spreads them; a map's corners come first.
        let place = |sample: usize| match sample {
            0 => 0,
            1 => count - 1,
            _ => ((sample as f64 * 0.618_033_988_75).fract() * count as f64) as usize,
        };
        let at: Vec<usize> = (0..SAMPLES).map(place).collect();
        let array = |shape: &Shape, numbers: Vec<f32>| Array {
            shape: shape.clone(),
            data: numbers.into_iter().map(f64::from).collect(),
        };
        let inputs = case.inputs.iter().enumerate();
        let x: Vec<Array> = inputs.map(|(i, shape)| array(shape, input(case, i))).collect();
        let exact = match wanted {
            None => case.op.reference_at(&x, &at),
            Some(input) => {
                let dy = array(&output, numbers(output.elements()));
                case.op.reference_backward_at(&x, &dy, input, &at)
            }
        };
        Ok(Samples { at, exact })
    }

    /// The error of a result's elements.
    fn error(&self, results: &[f32]) -> f64 {
        let (mut wrong, mut power) = (0.0, 0.0);
        for (at, exact) in self.at.iter().zip(&self.exact) {
            wrong += (f64::from(results[*at]) - exact).powi(2);
            power += exact.powi(2);
        }
        // A gradient may be 0 everywhere.
        (wrong / power.max(f64::MIN_POSITIVE)).sqrt()
    }
}

//! Measuring: what an adapter can do at most, what each kernel reaches, what a whole step takes.
//!
//! Rows are plain data that is written as JSON, so that runs can be compared ([`compare`]), across versions,
//! adapters and engines. Nothing here is a claim: every number is measured, and every kernel's results are
//! checked against f64 before it is timed.

pub mod compare;
pub mod kernels;
pub mod peak;
pub mod report;
pub mod step;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Program, Tensor};
use crate::ops::cast;
use crate::shape::Precision;
use crate::tape::{Tape, Var};

/// What a bench found, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The adapter's name.
    pub adapter: String,
    /// API and driver with its version.
    pub driver: String,
    /// The measurements.
    pub rows: Vec<Row>,
}

impl Report {
    /// A report without rows on a device.
    pub fn new(gpu: &Gpu) -> Self {
        let report = gpu.report();
        let backend = report.backend.map_or("other".into(), |b| b.to_string());
        let driver = format!("{backend}, {}", report.driver);
        Report { adapter: report.name.clone(), driver, rows: Vec::new() }
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "bench", rename_all = "lowercase")]
pub enum Row {
    /// A ceiling of the adapter.
    Peak(peak::PeakRow),
    /// A layer, a direction, a variant.
    Kernels(kernels::KernelRow),
    /// A whole step.
    Step(step::StepRow),
}

/// The middle of some measurements; of an even number, the lower one of both.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

/// Numbers between −0.5 and 0.5 that are neither zero nor regular: zeros can run faster than real data.
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 0.618_033_988_75).fract() - 0.5) as f32).collect()
}

/// The scope of what brings maps into a precision and back: no part of the work, where dispatches can be timed.
const CAST: &str = "cast";

/// An operation on a map of [`numbers`], stored in `precision`, forward or, for an upstream gradient of such numbers, to
/// its input;
/// and where the result is.
pub(crate) fn record(
    gpu: &Gpu,
    (shape, precision): ([usize; 3], Precision),
    backward: bool,
    op: impl FnOnce(&mut Tape, Var) -> Result<Var>,
) -> Result<(Program, Tensor)> {
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&gpu.tensor(shape, &numbers(shape.iter().product()))?);
    tape.scope(CAST);
    let map = cast(&mut tape, x, precision)?;
    tape.scope("");
    let result = op(&mut tape, map)?;
    tape.scope(CAST);
    let mut result = cast(&mut tape, result, Precision::F32)?;
    if backward {
        let shape = tape.shape(result).clone();
        let upstream = gpu.tensor(shape.clone(), &numbers(shape.elements()))?;
        let upstream = tape.constant(&upstream);
        let gradients = tape.backward_from(result, upstream)?;
        let none = || Error::Gpu("the operation has no gradient to its input".into());
        result = tape.gradient(&gradients, x).ok_or_else(none)?;
    }
    let result = tape.keep(result)?;
    Ok((tape.finish()?, result))
}

/// Seconds of one replay: GPU time where the adapter has timestamps, otherwise until it is known to be done.
async fn replay_seconds(gpu: &Gpu, program: &Program) -> Result<f64> {
    if gpu.report().timestamps {
        let timings = program.profile().await?;
        let own = timings.iter().filter(|timing| !timing.label.starts_with(CAST));
        return Ok(own.map(|timing| timing.time.as_secs_f64()).sum());
    }
    let start = Instant::now();
    program.run().await?;
    Ok(start.elapsed().as_secs_f64())
}

/// Replays a program once to warm up, then until it has taken `budget` seconds, 3 to 20 times (once, where a
/// single replay takes longer than the budget); the seconds of each, in ascending order.
pub(crate) async fn timed(gpu: &Gpu, program: &Program, budget: f64) -> Result<Vec<f64>> {
    program.run().await?;
    let mut laps = vec![replay_seconds(gpu, program).await?];
    while laps[0] < budget
        && laps.len() < 20
        && (laps.len() < 3 || laps.iter().sum::<f64>() < budget)
    {
        laps.push(replay_seconds(gpu, program).await?);
    }
    laps.sort_by(f64::total_cmp);
    Ok(laps)
}

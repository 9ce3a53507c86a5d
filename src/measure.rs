//! Measuring programs: what the benches and the tuner share.

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Frozen, Gpu, Program, Tensor};
use crate::ops::{Case, cast};
use crate::shape::Precision;
use crate::tape::{Tape, Var};

/// The middle of some measurements; of an even number, the lower one of both.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

/// Numbers between −0.5 and 0.5 that are neither zero nor regular: zeros can run faster than real data.
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 0.618_033_988_75).fract() - 0.5) as f32).collect()
}

/// The numbers of a case's input: those that it gives, or [`numbers`], each input's its own.
pub(crate) fn input(case: &Case, at: usize) -> Vec<f32> {
    let given = case.given.iter().find(|(input, _)| *input == at);
    let other = || numbers(case.inputs[at].elements() + at).split_off(at);
    given.map_or_else(other, |(_, given)| given.clone())
}

/// The scope of what brings maps into a precision and back: no part of the work, where dispatches can be timed.
const CAST: &str = "cast";

/// One use of an operation on [`numbers`], with maps stored in `precision`. The result is the output or, for an upstream
/// gradient of such numbers, the gradient of the input `wanted`.
///
/// # Errors
/// When shapes do not fit or a kernel does not compile, and when memory is short.
pub(crate) fn record(
    gpu: &Gpu,
    case: &Case,
    precision: Precision,
    wanted: Option<usize>,
) -> Result<(Program, Tensor)> {
    let mut tape = Tape::new(gpu);
    let mut leaves = Vec::new();
    for (at, shape) in case.inputs.iter().enumerate() {
        let numbers = input(case, at);
        leaves.push(if wanted == Some(at) {
            tape.variable(&gpu.tensor(shape.clone(), &numbers)?)
        } else if case.frozen.contains(&at) {
            tape.frozen(&Frozen::new(shape.clone(), numbers)?)
        } else {
            tape.constant(&gpu.tensor(shape.clone(), &numbers)?)
        });
    }
    let mut inputs: Vec<Var> = leaves.clone();
    tape.scope(CAST);
    for map in inputs.iter_mut().take(case.op.maps()) {
        *map = cast(&mut tape, *map, precision)?;
    }
    tape.scope("");
    let result = tape.record_boxed(case.op.boxed(), &inputs)?;
    tape.scope(CAST);
    let mut result = cast(&mut tape, result, Precision::F32)?;
    if let Some(wanted) = wanted {
        let shape = tape.shape(result).clone();
        let upstream = gpu.tensor(shape.clone(), &numbers(shape.elements()))?;
        let upstream = tape.constant(&upstream);
        let gradients = tape.backward_from(result, upstream)?;
        let none = || Error::Gpu(format!("{} has no gradient to input {wanted}", case.op.name()));
        result = tape.gradient(&gradients, leaves[wanted]).ok_or_else(none)?;
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

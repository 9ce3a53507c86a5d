//! Ceilings of an adapter: how fast it multiplies and adds, moves memory and starts a dispatch.

use web_time::Instant;

use super::rows::{PeakRow, Report, Row};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Value};
use crate::measure::{median, numbers, timed};
use crate::ops::cast;
use crate::shape::Precision;
use crate::tape::Tape;

pub(crate) static SHADER: Shader = shader!("peak");
static MULTIPLY_ADD: KernelId = KernelId::new(&SHADER, "multiply_add");
pub(crate) static COOPERATIVE: Shader = shader!("peak_cooperative");
static COPY: KernelId = KernelId::new(&SHADER, "copy");
static NOTHING: KernelId = KernelId::new(&SHADER, "nothing");

/// Flops of a round of an invocation of `multiply_add`.
const ROUND_FLOPS: u64 = 256;
/// Seconds that a measurement should take at least, so that its start does not count.
const LONG_ENOUGH: f64 = 0.03;
/// Dispatches in a row whose cost is measured.
const DISPATCHES: usize = 500;

/// The ceilings that rooflines need.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// f32 multiplications and additions per second.
    pub flops: f64,
    /// f16 ones, where shaders have them.
    pub half_flops: Option<f64>,
    /// Those of cooperative matrices, where there are any.
    pub matrix_flops: Option<f64>,
    /// Bytes per second, read and written together.
    pub bandwidth: f64,
    /// Seconds of a dispatch that waits for the one before it.
    pub dispatch: f64,
}

impl Ceilings {
    /// Measures them: a few seconds on slow adapters.
    ///
    /// # Errors
    /// Whatever the driver reports.
    pub async fn measure(gpu: &Gpu) -> Result<Self> {
        let half_flops = match gpu.report().f16 {
            true => Some(multiply_add(gpu, Precision::F16).await?),
            false => None,
        };
        Ok(Ceilings {
            flops: multiply_add(gpu, Precision::F32).await?,
            half_flops,
            // Experimental: a driver that can't is like one that has none.
            matrix_flops: match cooperative(gpu).await {
                Err(Error::DeviceLost(what)) => return Err(Error::DeviceLost(what)),
                rate => rate.ok().flatten(),
            },
            bandwidth: copy(gpu).await?,
            dispatch: dispatch(gpu).await?,
        })
    }

    /// As rows of a report.
    pub fn report(&self, gpu: &Gpu) -> Report {
        let of = |precision: &str, name: &str, value, unit: &str| {
            let (name, precision, unit) = (name.into(), precision.into(), unit.into());
            Row::Peak(PeakRow { name, precision, value, unit })
        };
        let row = |name, value, unit| of("f32", name, value, unit);
        let mut report = Report::new(gpu);
        report.rows = vec![
            row("multiply-add", self.flops / 1e9, "GFLOP/s"),
            row("bandwidth", self.bandwidth / 1e9, "GB/s"),
            row("dispatch", 1e6 * self.dispatch, "µs"),
        ];
        let more = [
            self.half_flops.map(|flops| of("f16", "multiply-add", flops / 1e9, "GFLOP/s")),
            self.matrix_flops.map(|f| of("f16→f32", "cooperative matrix", f / 1e9, "GFLOP/s")),
        ];
        report.rows.splice(1..1, more.into_iter().flatten());
        report
    }

    /// The most flops per second of work that computes `flops` and moves `bytes` (Williams, Waterman,
    /// Patterson, "Roofline", 2009).
    pub fn roofline(&self, flops: f64, bytes: f64) -> f64 {
        self.flops.min(self.bandwidth * flops / bytes)
    }

    /// The same for work by cooperative matrices.
    pub fn matrix_roofline(&self, flops: f64, bytes: f64) -> f64 {
        Ceilings { flops: self.matrix_flops.unwrap_or(self.flops), ..*self }.roofline(flops, bytes)
    }
}

async fn multiply_add(gpu: &Gpu, precision: Precision) -> Result<f64> {
    let invocations = if gpu.is_cpu() { 1 << 12 } else { 1 << 20 };
    rate(gpu, ROUND_FLOPS * invocations as u64, |recorder, rounds| {
        let y = recorder.temporary_in(precision, [invocations]);
        recorder.keep(&y)?;
        let call = recorder.kernel(&MULTIPLY_ADD).bind("y", &y).set("rounds", rounds);
        let call = call.set("count", 0_usize).set("factor", 0.999_f32).set("term", 0.001_f32);
        call.groups([(invocations / 64) as u32, 1, 1])
    })
    .await
}

/// `None` where there are no matrices.
async fn cooperative(gpu: &Gpu) -> Result<Option<f64>> {
    let (Some(side), Some(constants)) = (gpu.fragment_side(), gpu.report().subgroup_constant())
    else {
        return Ok(None);
    };
    let id = KernelId { shader: &COOPERATIVE, entry: "multiply_add", constants };
    let workgroups = if gpu.is_cpu() { 1 << 8 } else { 1 << 12 };
    let flops = 16 * (side * side * side * workgroups) as u64;
    // Zeros can run faster than real data.
    let mut tape = Tape::new(gpu);
    let plain = tape.constant(&gpu.tensor([side * side], &numbers(side * side))?);
    let factors = cast(&mut tape, plain, Precision::F16)?;
    let factors = Value::from(&tape.keep(factors)?);
    tape.finish()?.run().await?;
    let rate = rate(gpu, flops, |recorder, rounds| {
        let y = Value::from(&recorder.gpu().zeros([side * side])?);
        let call = recorder.kernel(&id).bind("y", &y).bind("factors", &factors);
        call.set("rounds", rounds).groups([workgroups as u32, 1, 1])
    });
    Ok(Some(rate.await?))
}

/// Flops per second of a dispatch with so many a round, in as many rounds as take long enough.
async fn rate(
    gpu: &Gpu,
    flops: u64,
    record: impl Fn(&mut Recorder, usize) -> Result<()>,
) -> Result<f64> {
    let mut rounds = 16_usize;
    loop {
        let mut recorder = Recorder::new(gpu);
        record(&mut recorder, rounds)?;
        let program = recorder.finish()?;
        let seconds = median(&mut timed(gpu, &program, LONG_ENOUGH).await?);
        if seconds > LONG_ENOUGH || rounds > 1 << 20 {
            let mut laps = timed(gpu, &program, 10.0 * LONG_ENOUGH).await?;
            return Ok((flops * rounds as u64) as f64 / median(&mut laps));
        }
        rounds *= 2;
    }
}

async fn copy(gpu: &Gpu) -> Result<f64> {
    // Larger than any cache, and within every adapter's bindings.
    let bytes = if gpu.is_cpu() { 64 << 20 } else { 256 << 20 };
    let bytes = bytes.min(gpu.report().max_binding_bytes) as usize / 16 * 16;
    let from = Value::from(&gpu.tensor([bytes / 4], &numbers(bytes / 4))?);
    let to = Value::from(&gpu.zeros([bytes / 4])?);
    let mut recorder = Recorder::new(gpu);
    let call = recorder.kernel(&COPY).bind("source_data", &from).bind("target_data", &to);
    let call = call.set("rounds", 0_usize).set("count", bytes / 16);
    call.set("factor", 0.0_f32).set("term", 0.0_f32).over(bytes / 16)?;
    let mut laps = timed(gpu, &recorder.finish()?, 10.0 * LONG_ENOUGH).await?;
    Ok(2.0 * bytes as f64 / median(&mut laps))
}

async fn dispatch(gpu: &Gpu) -> Result<f64> {
    let counter = Value::from(&gpu.zeros([1])?);
    let mut recorder = Recorder::new(gpu);
    for _ in 0..DISPATCHES {
        recorder.kernel(&NOTHING).bind("counter", &counter).groups([1, 1, 1])?;
    }
    let program = recorder.finish()?;
    program.run().await?;
    let mut laps = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        program.run().await?;
        laps.push(start.elapsed().as_secs_f64() / DISPATCHES as f64);
    }
    Ok(median(&mut laps))
}

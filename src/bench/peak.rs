//! Ceilings of an adapter: how fast it multiplies and adds, moves memory and starts a dispatch.

use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::{Report, Row, median, numbers, timed};
use crate::error::Result;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Value};
use crate::shader;

pub(crate) static SHADER: Shader = shader!("peak");
static MULTIPLY_ADD: KernelId = KernelId::new(&SHADER, "multiply_add");
static COPY: KernelId = KernelId::new(&SHADER, "copy");
static NOTHING: KernelId = KernelId::new(&SHADER, "nothing");

/// Flops of a round of an invocation of `multiply_add`.
const ROUND_FLOPS: u64 = 256;
/// Seconds that a measurement should take at least, so that its start does not count.
const LONG_ENOUGH: f64 = 0.03;
/// Dispatches in a row whose cost is measured.
const DISPATCHES: usize = 500;

/// One ceiling.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeakRow {
    /// `multiply-add`, `bandwidth` or `dispatch`.
    pub name: String,
    /// `f32`.
    pub precision: String,
    /// The median of several runs.
    pub value: f64,
    /// `GFLOP/s`, `GB/s` (read and written together) or `µs`.
    pub unit: String,
}

/// The ceilings that rooflines need.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// f32 multiplications and additions per second.
    pub flops: f64,
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
        let flops = multiply_add(gpu).await?;
        Ok(Ceilings { flops, bandwidth: copy(gpu).await?, dispatch: dispatch(gpu).await? })
    }

    /// As rows of a report.
    pub fn report(&self, gpu: &Gpu) -> Report {
        let row = |name: &str, value, unit: &str| {
            Row::Peak(PeakRow {
                name: name.into(),
                precision: "f32".into(),
                value,
                unit: unit.into(),
            })
        };
        let mut report = Report::new(gpu);
        report.rows = vec![
            row("multiply-add", self.flops / 1e9, "GFLOP/s"),
            row("bandwidth", self.bandwidth / 1e9, "GB/s"),
            row("dispatch", 1e6 * self.dispatch, "µs"),
        ];
        report
    }

    /// The most flops per second of work that computes `flops` and moves `bytes` (Williams, Waterman,
    /// Patterson, "Roofline", 2009).
    pub fn roofline(&self, flops: f64, bytes: f64) -> f64 {
        self.flops.min(self.bandwidth * flops / bytes)
    }
}

async fn multiply_add(gpu: &Gpu) -> Result<f64> {
    let invocations = if gpu.is_cpu() { 1 << 12 } else { 1 << 20 };
    let y = Value::from(&gpu.zeros([invocations])?);
    let mut rounds = 16_usize;
    loop {
        let mut recorder = Recorder::new(gpu);
        let call = recorder.kernel(&MULTIPLY_ADD).bind("y", &y).set("rounds", rounds);
        let call = call.set("count", 0_usize).set("factor", 0.999_f32).set("term", 0.001_f32);
        call.groups([(invocations / 64) as u32, 1, 1])?;
        let program = recorder.finish()?;
        let seconds = median(&mut timed(gpu, &program, LONG_ENOUGH).await?);
        if seconds > LONG_ENOUGH || rounds > 1 << 20 {
            let flops = ROUND_FLOPS * rounds as u64 * invocations as u64;
            let mut laps = timed(gpu, &program, 10.0 * LONG_ENOUGH).await?;
            return Ok(flops as f64 / median(&mut laps));
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

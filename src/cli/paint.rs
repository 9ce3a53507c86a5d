//! Painting and writing, for every command that does: progress, interruption, trace, pictures between.

use std::path::Path;
use std::process::ExitCode;

use impasto::gpu::Gpu;
use impasto::nets::{Graph, Network};
use impasto::picture::Format;
use impasto::transfer::{Event, Job, LossRow, Painter, Verdict};
use impasto::{Error, Result};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::{Common, beside, file, tune};

/// What to write, and when.
pub struct Order<'a> {
    pub output: &'a Path,
    pub format: Format,
    pub steps: u64,
    pub trace: Option<&'a Path>,
    pub save_every: Option<u64>,
}

/// Paints and writes what was ordered; also what `demo` does.
pub fn paint(
    common: &Common,
    gpu: &Gpu,
    graph: &Graph,
    job: &Job<'_>,
    order: &Order<'_>,
) -> Result<ExitCode> {
    tune::prepare(common, gpu, graph, job.content.size())?;
    let interrupt = Interrupt::listen()?;
    let mut painter = pollster::block_on(Painter::new(gpu, graph, job))?;
    common.say(|| plan(&painter, gpu.allocated_bytes()));
    common.say(|| {
        let all = common.launched.elapsed().as_secs_f64();
        format!(
            "ready {all:.2} s after launch, {:.2} s of it for targets",
            painter.target_seconds()
        )
    });
    let mut progress = Progress::new(order.steps, common.quiet);
    let mut trace: Vec<LossRow> = Vec::new();
    let mut failed = None;
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Steps(done) => progress.steps(done),
            Event::Losses(rows) => {
                progress.losses(rows);
                trace.extend_from_slice(rows);
            }
            Event::Picture(step, picture) => {
                let path = beside(order.output, &format!("{step:06}"));
                let written = picture.encode(order.format);
                failed = written.and_then(|bytes| file::write_atomic(&path, &bytes)).err();
            }
        }
        let stop = failed.is_some() || interrupt.code().is_some();
        if stop { Verdict::Stop } else { Verdict::Continue }
    };
    let painted = pollster::block_on(painter.paint(order.steps, order.save_every, &mut watch));
    // The trace of a run that failed is what tells why.
    let traced = match order.trace {
        Some(path) => json_lines(&trace).and_then(|lines| file::write_atomic(path, &lines)),
        None => Ok(()),
    };
    painted?;
    if let Some(error) = failed {
        return Err(error);
    }
    let picture = pollster::block_on(painter.picture())?;
    file::write_atomic(order.output, &picture.encode(order.format)?)?;
    traced?;
    let code = interrupt.code();
    let (steps, seconds) = (painter.steps(), trace.last().map_or(0.0, |row| row.seconds));
    progress.finish(|| {
        let (stopped, size) = (if code.is_some() { "interrupted: " } else { "" }, picture.size());
        let output = order.output.display();
        format!("{stopped}{output}: {}×{} px after {steps} steps in {seconds:.1} s", size.0, size.1)
    });
    if common.verbose > 1 {
        print_profile(&mut painter)?;
    }
    Ok(ExitCode::from(code.unwrap_or(0)))
}

fn json_lines(rows: &[LossRow]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|e| Error::Gpu(e.to_string()))?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    Ok(text)
}

/// What `-v` says about the network and the picture.
pub fn describe(network: &Network, (w, h): (u32, u32)) -> String {
    let layers = network.layers.len();
    let megabytes = network.parameter_bytes(layers) as f64 / 1e6;
    format!(
        "network: {}\n  {} layers, {megabytes:.1} MB of weights, {:.0} multiply-adds a pixel\n  \
         preprocessing {} ({}), {} padding, {} pooling\npicture: {w}×{h} px",
        network.name,
        layers,
        network.macs_per_pixel(layers),
        network.preprocess,
        network.preprocess_source,
        network.padding.name(),
        network.pool.name(),
    )
}

fn plan(painter: &Painter, allocated: u64) -> String {
    let plan = painter.plan();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    format!(
        "step: {} dispatches, {:.1} GFLOP\nmemory: {:.1} MB of buffers in all; {} temporaries share \
         {:.1} MB in {} buffers ({:.1} MB without sharing)",
        plan.dispatches,
        plan.flops as f64 / 1e9,
        mb(allocated),
        plan.temporaries,
        mb(plan.arena_bytes),
        plan.slots,
        mb(plan.unshared_bytes),
    )
}

/// GPU time by label, the longest first.
fn print_profile(painter: &mut Painter) -> Result<()> {
    let mut totals: Vec<(String, f64, u64)> = Vec::new();
    for timing in pollster::block_on(painter.profile())? {
        let seconds = timing.time.as_secs_f64();
        match totals.iter_mut().find(|(label, ..)| *label == timing.label) {
            Some((_, sum, flops)) => (*sum, *flops) = (*sum + seconds, *flops + timing.flops),
            None => totals.push((timing.label, seconds, timing.flops)),
        }
    }
    totals.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = totals.iter().map(|(_, seconds, _)| seconds).sum();
    note!("GPU time of one step: {:.1} ms", 1e3 * all);
    for (label, seconds, flops) in totals {
        let rate = flops as f64 / seconds / 1e9;
        let rate = if flops > 0 { format!("{rate:9.1} GFLOP/s") } else { String::new() };
        note!("{:9.2} ms  {:4.1} %  {rate:>17}  {label}", 1e3 * seconds, 100.0 * seconds / all);
    }
    Ok(())
}

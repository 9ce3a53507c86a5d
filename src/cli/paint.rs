//! Painting and writing, for every command that does: progress, interruption, trace, pictures between.

use std::path::Path;
use std::process::ExitCode;

use impasto::gpu::Gpu;
use impasto::nets::{Graph, Network};
use impasto::picture::{Format, Picture};
use impasto::transfer::{Event, Job, LossRow, LossSettings, Painter, Start, Verdict, scales};
use impasto::{Error, Result};
use serde::Serialize;

use super::interrupt::Interrupt;
use super::progress::{Progress, Work};
use super::{Common, beside, file, tune};

/// What to paint, at sizes that are chosen as the work goes on.
pub struct Scene<'a> {
    /// The content, of any size.
    pub content: &'a Picture,
    /// The result's size at each scale; the last is the one that is wanted.
    pub sizes: Vec<(u32, u32)>,
    /// The styles of any size, their weights, and their sizes at the last scale.
    pub styles: &'a [(Picture, f32, (u32, u32))],
    pub start: Start,
    pub loss: LossSettings,
    pub lr: f32,
}

/// What to write, and when.
pub struct Order<'a> {
    pub output: &'a Path,
    pub format: Format,
    /// At the last scale.
    pub steps: u64,
    pub trace: Option<&'a Path>,
    pub save_every: Option<u64>,
}

/// Steps at each coarse scale, for so many at the last one. With as many as there, all of a 384 px picture's
/// scales take a quarter longer and the loss in the end is hardly lower.
fn coarse_steps(steps: u64) -> u64 {
    (steps * 3).div_ceil(5)
}

/// A step's losses and where it was taken.
#[derive(Serialize)]
struct TraceRow {
    /// Counted from 0, the coarsest.
    scale: usize,
    #[serde(flatten)]
    losses: LossRow,
}

/// Paints and writes what was ordered; also what `demo` does.
pub fn paint(
    common: &Common,
    gpu: &Gpu,
    graph: &Graph,
    scene: Scene<'_>,
    order: &Order<'_>,
) -> Result<ExitCode> {
    let scales = scene.sizes.len();
    let last = scene.sizes[scales - 1];
    tune::prepare(common, gpu, graph, last)?;
    let interrupt = Interrupt::listen()?;
    let coarse = coarse_steps(order.steps);
    let work = scene.sizes.iter().enumerate().map(|(scale, (w, h))| {
        let steps = if scale + 1 == scales { order.steps } else { coarse };
        (steps, f64::from(*w) * f64::from(*h))
    });
    let mut progress = Progress::new(Work(work.collect()), common.quiet);
    let mut trace: Vec<TraceRow> = Vec::new();
    let mut start = scene.start;
    for (scale, &size) in scene.sizes.iter().enumerate() {
        let finest = scale + 1 == scales;
        let content = at_size(scene.content, size);
        let style = |(picture, weight, own): &(Picture, f32, (u32, u32))| {
            (at_size(picture, scales::style_size(*own, size, last)), *weight)
        };
        let styles: Vec<_> = scene.styles.iter().map(style).collect();
        let (loss, lr) = (scene.loss.clone(), scene.lr);
        let job = Job { content: &content, styles: &styles, start, loss, lr };
        let mut painter = pollster::block_on(Painter::new(gpu, graph, &job))?;
        common.say(|| plan(&painter, size, gpu.allocated_bytes()));
        if scale == 0 {
            common.say(|| {
                let all = common.launched.elapsed().as_secs_f64();
                let targets = painter.target_seconds();
                format!("ready {all:.2} s after launch, {targets:.2} s of it for targets")
            });
        }
        let mut failed = None;
        let mut watch = |event: Event<'_>| {
            match event {
                Event::Steps(done) => progress.steps(done),
                Event::Losses(rows) => {
                    progress.losses(rows);
                    trace.extend(rows.iter().map(|row| TraceRow { scale, losses: *row }));
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
        let steps = if finest { order.steps } else { coarse };
        let painted = pollster::block_on(painter.paint(steps, order.save_every, &mut watch));
        // The trace of a run that failed is what tells why.
        let stopped = interrupt.code().is_some();
        let traced = match order.trace {
            Some(path) if finest || stopped || painted.is_err() || failed.is_some() => {
                json_lines(&trace).and_then(|lines| file::write_atomic(path, &lines))
            }
            _ => Ok(()),
        };
        painted?;
        if let Some(error) = failed {
            return Err(error);
        }
        if !(finest || stopped) {
            start = Start::Carried(Box::new(pollster::block_on(painter.carried())?));
            continue;
        }
        let picture = at_size(&pollster::block_on(painter.picture())?, last);
        file::write_atomic(order.output, &picture.encode(order.format)?)?;
        traced?;
        let (steps, seconds) =
            (painter.steps(), trace.last().map_or(0.0, |row| row.losses.seconds));
        progress.finish(|| {
            let stopped = if stopped { "interrupted: " } else { "" };
            let (output, (w, h)) = (order.output.display(), picture.size());
            format!("{stopped}{output}: {w}×{h} px after {steps} steps in {seconds:.1} s")
        });
        if common.verbose > 1 {
            print_profile(&mut painter)?;
        }
        break;
    }
    Ok(ExitCode::from(interrupt.code().unwrap_or(0)))
}

fn at_size(picture: &Picture, (width, height): (u32, u32)) -> Picture {
    picture.resized(width, height)
}

fn json_lines(rows: &[TraceRow]) -> Result<Vec<u8>> {
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

fn plan(painter: &Painter, (w, h): (u32, u32), allocated: u64) -> String {
    let plan = painter.plan();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    format!(
        "step at {w}×{h} px: {} dispatches, {:.1} GFLOP\nmemory: {:.1} MB of buffers in all; {} temporaries share \
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

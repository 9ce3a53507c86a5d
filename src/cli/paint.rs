//! Painting and writing, for every command that does: progress, interruption, trace, pictures between.

use std::path::Path;
use std::process::ExitCode;

use impasto::gpu::Gpu;
use impasto::nets::{Graph, Network};
use impasto::optim::Descent;
use impasto::picture::{Format, Picture};
use impasto::transfer::{Event, Job, LossRow, LossSettings, Painter, Start, Verdict, scales};
use impasto::{Error, Result};
use serde::Serialize;

use super::interrupt::Interrupt;
use super::progress::{Progress, Work};
use super::{Common, beside, file, tune};

/// What to paint, at sizes that are chosen as the work goes on.
pub struct Scene<'a> {
    /// The content, at the last scale's size.
    pub content: &'a Picture,
    /// The result's size at each scale; the last is the one that is wanted.
    pub sizes: Vec<(u32, u32)>,
    /// The styles, at their sizes at the last scale, and their weights.
    pub styles: &'a [(Picture, f32)],
    pub start: Start,
    pub loss: LossSettings,
    pub descent: Descent,
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

/// Steps at each coarse scale, for so many at the last one. At 384 px and in the time of 150 of its steps, 60 at
/// each coarse scale and 100 at the last ended where 80 and 80 did: at a loss of 2.565 and 2.566.
fn coarse_steps(steps: u64) -> u64 {
    steps / 5 * 3 + (steps % 5 * 3).div_ceil(5)
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
    scene: &Scene<'_>,
    order: &Order<'_>,
) -> Result<ExitCode> {
    tune::prepare(common, gpu, graph, scene.last())?;
    let mut work = Working {
        interrupt: Interrupt::listen()?,
        progress: Progress::new(scene.work(order.steps), common.quiet),
        trace: Vec::new(),
        skipped: 0,
    };
    let painted = scene.paint(common, gpu, graph, order, &mut work);
    // The trace of a run that failed is what tells why.
    let traced = match order.trace {
        Some(path) => json_lines(&work.trace).and_then(|lines| file::write_atomic(path, &lines)),
        None => Ok(()),
    };
    let (mut painter, stopped) = painted?;
    let picture = pollster::block_on(scene.result(&painter))?;
    file::write_atomic(order.output, &picture.encode(order.format)?)?;
    traced?;
    let seconds = work.trace.last().map_or(0.0, |row| row.losses.seconds);
    let steps = painter.steps();
    work.progress.finish(|| {
        let stopped = if stopped.is_some() { "interrupted: " } else { "" };
        let (output, (w, h)) = (order.output.display(), picture.size());
        format!("{stopped}{output}: {w}×{h} px after {steps} steps in {seconds:.1} s")
    });
    if common.verbose > 1 {
        print_profile(&mut painter)?;
    }
    Ok(ExitCode::from(stopped.unwrap_or(0)))
}

/// What a run keeps beside the picture.
struct Working {
    interrupt: Interrupt,
    progress: Progress,
    trace: Vec<TraceRow>,
    /// Steps that were not taken, because the loss was flat before.
    skipped: u64,
}

impl Scene<'_> {
    /// The size that is wanted.
    fn last(&self) -> (u32, u32) {
        self.sizes[self.sizes.len() - 1]
    }

    /// The picture as it stands, at the size that is wanted, with the content's own alpha.
    async fn result(&self, painter: &Painter) -> Result<Picture> {
        let picture = painter.picture().await?;
        if picture.size() == self.last() {
            return Ok(picture);
        }
        let colours = at_size(&painter.carried().await?.picture, self.last()).into_planes().0;
        let alpha = self.content.alpha().map(<[f32]>::to_vec);
        Picture::from_planes(self.last(), colours, alpha, picture.depth())
    }

    /// Steps at a scale, for so many at the last one.
    fn steps(&self, scale: usize, last: u64) -> u64 {
        if scale + 1 == self.sizes.len() { last } else { coarse_steps(last) }
    }

    fn work(&self, steps: u64) -> Work {
        let of = |(scale, (w, h)): (usize, &(u32, u32))| {
            (self.steps(scale, steps), f64::from(*w) * f64::from(*h))
        };
        Work(self.sizes.iter().enumerate().map(of).collect())
    }

    /// Paints at every scale; the painter of the last one, or of the one at which it was interrupted, with
    /// the exit code for that.
    fn paint(
        &self,
        common: &Common,
        gpu: &Gpu,
        graph: &Graph,
        order: &Order<'_>,
        work: &mut Working,
    ) -> Result<(Painter, Option<u8>)> {
        let mut start = self.start.clone();
        for (scale, &size) in self.sizes.iter().enumerate() {
            let content = at_size(self.content, size);
            let style = |(picture, weight): &(Picture, f32)| {
                (at_size(picture, scales::style_size(picture.size(), size, self.last())), *weight)
            };
            let styles: Vec<_> = self.styles.iter().map(style).collect();
            let (loss, descent) = (self.loss.clone(), self.descent);
            let job = Job { content: &content, styles: &styles, start, loss, descent };
            let mut painter = pollster::block_on(Painter::new(gpu, graph, &job))?;
            work.progress.say(common, || plan(&painter, size, gpu.allocated_bytes()));
            if scale == 0 {
                work.progress.say(common, || {
                    let all = common.launched.elapsed().as_secs_f64();
                    let targets = painter.target_seconds();
                    format!("ready {all:.2} s after launch, {targets:.2} s of it for targets")
                });
            }
            let mut failed = None;
            let mut save = |step: u64, picture: &Picture| {
                let path = beside(order.output, &format!("{step:06}"));
                let written = picture.encode(order.format);
                failed = written.and_then(|bytes| file::write_atomic(&path, &bytes)).err();
                failed.is_some()
            };
            let mut watch = |event: Event<'_>| {
                let stop = match event {
                    Event::Steps(done) => {
                        work.progress.steps(done + work.skipped);
                        false
                    }
                    Event::Losses(rows) => {
                        work.progress.losses(rows);
                        let rows = rows.iter().map(|row| TraceRow { scale, losses: *row });
                        work.trace.extend(rows);
                        false
                    }
                    Event::Picture(step, picture) => save(step, &picture),
                };
                if stop || work.interrupt.code().is_some() {
                    Verdict::Stop
                } else {
                    Verdict::Continue
                }
            };
            let (steps, before) = (self.steps(scale, order.steps), painter.steps());
            pollster::block_on(painter.paint(steps, order.save_every, &mut watch))?;
            let stopped = work.interrupt.code();
            let finest = size == self.last();
            let left = steps - (painter.steps() - before);
            if left > 0 && stopped.is_none() && painter.is_flat() {
                work.skipped += left;
                work.progress.flat(size, steps - left, steps);
            }
            // The last step of a scale is no result yet.
            if !finest && order.save_every.is_some_and(|n| painter.steps() % n == 0) {
                save(painter.steps(), &pollster::block_on(painter.picture())?);
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if finest || stopped.is_some() {
                return Ok((painter, stopped));
            }
            start = Start::Carried(Box::new(pollster::block_on(painter.carried())?));
        }
        Err(Error::Usage("--scales: there is no size to paint at".into()))
    }
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

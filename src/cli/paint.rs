//! Painting and writing, for every command that does: progress, interruption, trace, pictures between.

use std::path::Path;
use std::process::ExitCode;

use impasto::gpu::Gpu;
use impasto::nets::{Graph, Network};
use impasto::paint::{Event, Layout, LossRow, Painter, Start, Verdict};
use impasto::picture::{Format, Metadata, Picture};
use impasto::{Error, Result};
use serde::{Deserialize, Serialize};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::run::{self, Place, Run, is_loss};
use super::scene::Scene;
use super::{Common, beside, file};

/// What to write, and when.
pub struct Order<'a> {
    pub output: &'a Path,
    pub format: Format,
    /// At the last scale.
    pub steps: u64,
    pub trace: Option<&'a Path>,
    pub save_every: Option<u64>,
    /// What the result says about how it was made.
    pub settings: Option<String>,
}

/// A step's losses and where it was taken.
#[derive(Clone, Serialize, Deserialize)]
pub struct TraceRow {
    /// Counted from 0, the coarsest.
    pub scale: usize,
    #[serde(flatten)]
    pub losses: LossRow,
}

/// Paints and writes what was ordered; also what `demo` does.
pub fn paint(
    common: &Common,
    gpu: &Gpu,
    graph: &Graph,
    scene: &Scene<'_>,
    order: &Order<'_>,
    run: Run,
) -> Result<ExitCode> {
    let from = run.stand().map_or(0, |place| scene.planned(place, order.steps));
    let mut work = Working {
        interrupt: Interrupt::listen()?,
        progress: Progress::new(scene.work(order.steps), from, common.quiet),
        saved: 0,
        skipped: 0,
        run,
        kept: Ok(()),
    };
    let mut painted = scene.paint(common, gpu, graph, order, &mut work);
    if let Err(error) = &painted
        && is_loss(gpu, error)
    {
        work.progress.note(|| format!("{error}: trying once more"));
        painted =
            common.open_gpu().and_then(|gpu| scene.paint(common, &gpu, graph, order, &mut work));
    }
    // The trace of a run that failed is what tells why.
    let traced = match order.trace {
        Some(path) => json_lines(&work.run.trace).and_then(|l| file::write_atomic(path, &l)),
        None => Ok(()),
    };
    let written = painted.and_then(|painted| {
        file::write_atomic(order.output, &order.encode(&painted.picture)?)?;
        traced.and(std::mem::replace(&mut work.kept, Ok(()))).map(|()| painted)
    });
    let Painted { gpu, mut painter, picture, stopped } =
        written.inspect_err(|_| work.run.tell_command())?;
    let seconds = work.run.trace.last().map_or(0.0, |row| row.losses.seconds);
    let steps = painter.steps();
    work.progress.finish(|| {
        let stopped = if stopped.is_some() { "interrupted: " } else { "" };
        let (output, (w, h)) = (order.output.display(), picture.size());
        format!("{stopped}{output}: {w}×{h} px after {steps} steps in {seconds:.1} s")
    });
    common
        .say(|| format!("at most {:.1} MB of GPU buffers at once", gpu.peak_bytes() as f64 / 1e6));
    match stopped {
        Some(_) if common.quiet => {}
        Some(_) => work.run.tell_command(),
        None => work.run.finish(),
    }
    if common.verbose > 1 {
        // The picture is there: this decides nothing any more.
        print_profile(&mut painter)
            .unwrap_or_else(|error| note!("no GPU time by dispatch: {error}"));
    }
    Ok(ExitCode::from(stopped.unwrap_or(0)))
}

/// What a run keeps beside the picture.
struct Working {
    interrupt: Interrupt,
    progress: Progress,
    /// The step after which a picture in between was written last.
    saved: u64,
    /// Steps that were not taken, because the loss was flat before.
    skipped: u64,
    run: Run,
    /// Whether an interrupted run's state could be written: the picture is, all the same.
    kept: Result<()>,
}

/// What came of it.
struct Painted {
    /// The one that it was finished on: another one than before, where that was lost.
    gpu: Gpu,
    /// Of the last scale, or of the one at which it was interrupted.
    painter: Painter,
    picture: Picture,
    /// The exit code for an interruption.
    stopped: Option<u8>,
}

impl Order<'_> {
    /// The result's bytes, with what it was made with.
    fn encode(&self, picture: &Picture) -> Result<Vec<u8>> {
        let metadata = Metadata { settings: self.settings.clone(), ..picture.metadata().clone() };
        picture.clone().with_metadata(metadata).encode(self.format)
    }

    /// Whether a picture in between is due after so many steps.
    fn saves(&self, steps: u64) -> bool {
        self.save_every.is_some_and(|every| steps.is_multiple_of(every))
    }

    fn save(&self, step: u64, picture: &Picture) -> Result<()> {
        let path = beside(self.output, &format!("{step:06}"));
        file::write_atomic(&path, &picture.encode(self.format)?)
    }
}

impl Scene<'_> {
    /// Paints at every scale, from where the run stands.
    fn paint(
        &self,
        common: &Common,
        gpu: &Gpu,
        graph: &Graph,
        order: &Order<'_>,
        work: &mut Working,
    ) -> Result<Painted> {
        let mut place = work.run.place(&self.planner.sizes)?;
        match place.layouts.last() {
            Some(last) if place.layouts.len() == self.planner.sizes.len() => {
                let size = last.seen_size(self.planner.last());
                run::prepare(common, gpu, graph, size, &mut place.kernels)?;
            }
            _ => {
                let plans = self.planner.all(common, gpu, graph, &mut place.kernels)?;
                place.layouts = plans.iter().map(|plan| plan.layout).collect();
            }
        }
        gpu.limit_bytes(self.planner.memory.budget(gpu));
        loop {
            let Place { scale, done, .. } = place;
            work.skipped = self.planned(&place, order.steps).saturating_sub(place.steps());
            work.run.stands(place.clone());
            let Place { kernels, start, mut layouts, .. } = place;
            let with = (scale, layouts.as_mut_slice(), &work.progress);
            let (mut painter, targets) = self.painter(gpu, graph, with, start)?;
            let size = self.planner.sizes[scale];
            work.progress.say(common, || plan(&painter, size, gpu.allocated_bytes()));
            if scale == 0 {
                work.progress.say(common, || {
                    let all = common.launched.elapsed().as_secs_f64();
                    format!("ready {all:.2} s after launch, {targets:.2} s of it for targets")
                });
            }
            let before = work.run.trace.iter().filter(|row| row.scale == scale);
            painter.recall(before.map(|row| row.losses.total));
            let at = (scale, done, layouts.as_slice());
            let stopped = self.paint_scale(gpu, order, work, &mut painter, at)?;
            if size == self.planner.last() || stopped.is_some() {
                let picture = pollster::block_on(self.result(&painter))?;
                return Ok(Painted { gpu: gpu.clone(), painter, picture, stopped });
            }
            let start = Start::Carried(Box::new(pollster::block_on(painter.carried())?));
            place = Place { scale: scale + 1, done: 0, start, kernels, layouts };
        }
    }

    /// Steps that were to be taken before a place, for so many at the last scale: some of them may have been skipped.
    fn planned(&self, place: &Place, last: u64) -> u64 {
        let before = (0..place.scale).map(|scale| self.steps(scale, last));
        before.fold(place.done, u64::saturating_add)
    }

    /// Takes the steps of a scale that are left after `done`, in goes: between two of them the run's state can be
    /// written. The exit code for an interruption.
    fn paint_scale(
        &self,
        gpu: &Gpu,
        order: &Order<'_>,
        work: &mut Working,
        painter: &mut Painter,
        (scale, mut done, layouts): (usize, u64, &[Layout]),
    ) -> Result<Option<u8>> {
        let (steps, finest) =
            (self.steps(scale, order.steps), scale + 1 == self.planner.sizes.len());
        let before = painter.steps().saturating_sub(done);
        let mut stopped = work.interrupt.code();
        while done < steps && stopped.is_none() && !painter.is_flat() {
            let go = work.run.go(painter.steps()).min(steps - done);
            work.go((self, order), painter, scale, go)?;
            done = painter.steps() - before;
            stopped = work.interrupt.code();
            // The last step of all is the result, and the last of a scale is none yet.
            let between = done < steps || !finest;
            if between && order.saves(painter.steps()) && work.saved != painter.steps() {
                let painting = self.finished(pollster::block_on(painter.picture())?);
                order.save(painter.steps(), &painting)?;
                work.saved = painter.steps();
            }
            if between && stopped.is_none() && work.run.is_due(painter.steps()) {
                let place = if done < steps { (scale, done) } else { (scale + 1, 0) };
                work.run.keep(gpu, painter, place, (layouts, &work.progress))?;
            }
        }
        if done < steps && stopped.is_none() {
            work.progress.flat(self.planner.sizes[scale], done, steps);
        }
        if stopped.is_some() {
            let kept = (layouts, &work.progress);
            work.kept = work.run.keep(gpu, painter, (scale, done), kept);
        }
        Ok(stopped)
    }
}

impl Working {
    /// Takes so many steps, or fewer when it is time to write the run's state or a signal has come.
    fn go(
        &mut self,
        (scene, order): (&Scene<'_>, &Order<'_>),
        painter: &mut Painter,
        scale: usize,
        steps: u64,
    ) -> Result<()> {
        let mut saved = Ok(());
        self.progress.begin();
        let mut watch = |event: Event<'_>| {
            let mut stop = false;
            match event {
                Event::Steps(done) => {
                    self.progress.steps(done + self.skipped);
                    stop = self.run.is_due(done);
                }
                Event::Tiles(done, of) => self.progress.tiles(done, of),
                Event::Losses(rows) => {
                    self.progress.losses(rows);
                    let rows = rows.iter().map(|row| TraceRow { scale, losses: *row });
                    self.run.trace.extend(rows);
                }
                Event::Picture(step, picture) => {
                    saved = order.save(step, &scene.finished(picture));
                    self.saved = step;
                    stop = saved.is_err();
                }
            }
            if stop || self.interrupt.code().is_some() { Verdict::Stop } else { Verdict::Continue }
        };
        pollster::block_on(painter.paint(steps, order.save_every, &mut watch))?;
        saved
    }
}

pub fn json_lines(rows: &[TraceRow]) -> Result<Vec<u8>> {
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

//! A run between its steps: where it stands, what is kept of it, and how it goes on after the GPU was lost.

use impasto::gpu::Gpu;
use impasto::nets::Graph;
use impasto::paint::{Layout, Painter, Start};
use impasto::{Error, Result, tune};

use super::checkpoint::Keeper;
use super::paint::TraceRow;
use super::progress::Progress;
use super::{Common, tune as remembered};

/// Where a run stands: between two steps.
#[derive(Clone)]
pub struct Place {
    /// Counted from 0, the coarsest.
    pub scale: usize,
    /// Steps taken at that scale.
    pub done: u64,
    pub start: Start,
    /// Adapter and driver, and the kernels that were chosen there.
    pub kernels: Option<(String, String)>,
    /// How memory is used at every scale; nothing before that is planned.
    pub layouts: Vec<Layout>,
}

/// A run that starts or goes on.
pub struct Run {
    /// Where it goes on from; `None` where that is what was written last.
    place: Option<Place>,
    /// The losses of all steps so far.
    pub trace: Vec<TraceRow>,
    /// What writes checkpoints, where there are any.
    pub keeper: Option<Keeper>,
}

impl Place {
    /// Before the first step.
    pub fn first(start: Start) -> Self {
        Place { scale: 0, done: 0, start, kernels: None, layouts: Vec::new() }
    }

    /// Steps taken in all.
    pub fn steps(&self) -> u64 {
        match &self.start {
            Start::Carried(carried) => carried.state.steps,
            _ => 0,
        }
    }
}

impl Run {
    pub fn new(place: Place, trace: Vec<TraceRow>, keeper: Option<Keeper>) -> Self {
        Run { place: Some(place), trace, keeper }
    }

    /// Where the run goes on from: the place that is in memory, or the one that was written last.
    ///
    /// # Errors
    /// When that file can't be read.
    pub fn place(&mut self, sizes: &[(u32, u32)]) -> Result<Place> {
        let place = match (&self.place, &self.keeper) {
            (None, Some(keeper)) => keeper.last(sizes)?,
            (place, _) => place.clone().unwrap_or_else(|| Place::first(Start::Content)),
        };
        let steps = place.steps();
        self.trace.retain(|row| row.losses.step < steps);
        Ok(place)
    }

    /// Where it goes on from, unless that is in a file.
    pub fn stand(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// A scale begins here.
    pub fn stands(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Steps that may be taken in one go, after so many.
    pub fn go(&self, steps: u64) -> u64 {
        self.keeper.as_ref().map_or(u64::MAX, |keeper| keeper.go(steps))
    }

    /// Whether it is time to write, after so many steps.
    pub fn is_due(&self, steps: u64) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.is_due(steps))
    }

    /// Writes where the run stands, after `done` steps at `scale`.
    ///
    /// # Errors
    /// As [`Keeper::keep`], and whatever the driver reported.
    pub fn keep(
        &mut self,
        gpu: &Gpu,
        painter: &Painter,
        (scale, done): (usize, u64),
        (layouts, progress): (&[Layout], &Progress),
    ) -> Result<()> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        let first = keeper.command().is_none();
        let carried = pollster::block_on(painter.carried())?;
        if keeper.keep(gpu, (scale, done, layouts), carried, &self.trace)? {
            self.place = None;
            if let Some(command) = keeper.command().filter(|_| first) {
                progress.note(|| {
                    format!("a checkpoint is kept from now on; to go on after a stop: {command}")
                });
            }
        }
        Ok(())
    }

    /// Says how to go on, where that is possible.
    pub fn tell_command(&self) {
        if let Some(command) = self.keeper.as_ref().and_then(Keeper::command) {
            note!("to go on: {command}");
        }
    }

    /// The result is written.
    pub fn finish(self) {
        self.keeper.into_iter().for_each(Keeper::finish);
    }
}

/// Has the device use the kernels that the run has used so far; measures where there are none that it can use.
///
/// # Errors
/// What the GPU reports.
pub fn prepare(
    common: &Common,
    gpu: &Gpu,
    graph: &Graph,
    size: (u32, u32),
    kernels: &mut Option<(String, String)>,
) -> Result<()> {
    if let Some((device, choices)) = kernels {
        if tune::use_json(gpu, choices) {
            return Ok(());
        }
        if !common.quiet {
            let now = tune::device(gpu);
            let other = if *device == now {
                "other kernels".into()
            } else {
                format!("{device}, and this is {now}")
            };
            note!(
                "the steps so far were taken with {other}: the result may differ in the last bits"
            );
        }
    }
    remembered::prepare(common, gpu, graph, size)?;
    *kernels = Some((tune::device(gpu), tune::to_json(gpu)));
    Ok(())
}

/// Whether an error comes from the loss of the device, which can be opened again.
pub fn is_loss(gpu: &Gpu, error: &Error) -> bool {
    let lost = |error: &Error| matches!(error, Error::DeviceLost(_));
    lost(error) || gpu.check().is_err_and(|error| lost(&error))
}

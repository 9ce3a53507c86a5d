//! One painting, from coarse to fine: a [`Session`] paints a [`Scene`] at every size that its [`Planner`] names, hands
//! picture and optimiser on from one to the next, takes a smaller plan where memory is not there after all, and goes
//! on once by itself when the GPU was lost. It opens no file and prints nothing: a [`Watcher`] is told what happens, and
//! may keep the state between two steps.
//!
//! [`Scales`] says at which sizes, [`Preset`] has the settings of other programs, [`Checkpoint`] makes bytes of a state.

pub mod checkpoint;
mod finish;
mod kernels;
mod planner;
pub mod preset;
pub mod scales;
mod scene;
mod schedule;
mod standing;
mod studio;
mod styles;
mod watch;

pub use checkpoint::Checkpoint;
pub use finish::{Finish, Preserve};
pub use planner::Planner;
pub use preset::{PRESETS, Preset};
pub use scales::Scales;
pub use scene::Scene;
pub use standing::{Kernels, Standing, TraceRow};
pub use watch::{Event, State, Watcher};

use crate::error::Result;
use crate::gpu::{Choice, Gpu};
use crate::nets::Graph;
use crate::paint::{Painter, Start};
use crate::picture::Picture;
use crate::plan::MemoryPlan;
use schedule::Schedule;
use std::sync::Arc;
use studio::OnGpu;
use styles::Measured;

/// One painting in the making.
pub struct Session {
    studio: OnGpu,
    schedule: Schedule,
}

/// A painting as it stands when its session has ended.
pub struct Outcome {
    /// At the size that was asked for, whatever size was being painted.
    pub picture: Picture,
    /// The painter of the last scale, or of the one at which the watcher said stop.
    pub painter: Painter,
    /// The watcher said stop.
    pub stopped: bool,
    /// Whether the state of a stopped painting could be kept: the picture is there all the same.
    pub kept: Result<()>,
}

/// How a session begins and what it does beside painting.
#[derive(Clone)]
pub struct Begin {
    /// Where it goes on from.
    pub standing: Standing,
    /// The losses of the steps before.
    pub trace: Vec<TraceRow>,
    /// Steps at the last scale.
    pub steps: u64,
    /// The picture is shown after every so many steps.
    pub save_every: Option<u64>,
    /// Measure which kernels are fastest where that is not known.
    pub tunes: bool,
    /// How the device was chosen: once more like that when it was lost.
    pub choice: Choice,
    /// What is measured of the styles is kept for [`Session::another`]. It takes memory: a few
    /// megabytes a scale, and for neighbours some hundred megabytes of the host's in all.
    pub keeps_styles: bool,
}

impl Begin {
    /// From the beginning, so many steps at the last scale.
    pub fn new(start: Start, steps: u64) -> Self {
        let (standing, choice) = (Standing::first(start), Choice::default());
        Begin {
            standing,
            trace: Vec::new(),
            steps,
            save_every: None,
            tunes: true,
            choice,
            keeps_styles: false,
        }
    }
}

impl Session {
    /// A session on a device with a network.
    pub fn new(
        gpu: Gpu,
        graph: impl Into<Arc<Graph>>,
        scene: Scene,
        planner: Planner,
        begin: Begin,
    ) -> Self {
        Self::with(Measured::default(), (gpu, graph.into()), scene, planner, begin)
    }

    /// A session for another painting, on this one's device and with its network. Styles that it has in common with this
    /// one, at the same size, are not measured again where [`Begin::keeps_styles`] said so.
    #[must_use]
    pub fn another(&self, scene: Scene, planner: Planner, begin: Begin) -> Self {
        let OnGpu { gpu, graph, measured, .. } = &self.studio;
        Self::with(measured.clone(), (gpu.clone(), graph.clone()), scene, planner, begin)
    }

    fn with(
        measured: Measured,
        (gpu, graph): (Gpu, Arc<Graph>),
        scene: Scene,
        planner: Planner,
        begin: Begin,
    ) -> Self {
        let Begin { standing, trace, steps, save_every, tunes, choice, keeps_styles } = begin;
        let schedule = Schedule::new(planner.steps(steps), save_every, (standing, trace));
        let keeps_styles = if keeps_styles { planner.sizes.len() } else { 0 };
        let studio = OnGpu { gpu, choice, graph, scene, planner, measured, keeps_styles, tunes };
        Session { studio, schedule }
    }

    /// Paints to the end, or until the watcher says stop.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when nothing fits, [`Error::Diverged`](crate::Error::Diverged) when the
    /// loss is no finite number any more, what the watcher reports, and whatever the driver does.
    pub async fn run(&mut self, watcher: &mut dyn Watcher) -> Result<Outcome> {
        let schedule::Ended { canvas: painter, stopped, kept } =
            self.schedule.run(&mut self.studio, watcher).await?;
        let picture = self.studio.result(&painter).await?;
        Ok(Outcome { picture, painter, stopped, kept })
    }

    /// The losses of all steps so far.
    pub fn trace(&self) -> &[TraceRow] {
        &self.schedule.trace
    }

    /// Width and height at every scale, and the steps to take there.
    pub fn scales(&self) -> &[((u32, u32), u64)] {
        &self.schedule.scales
    }

    /// Steps that were to be taken before the place where it goes on.
    pub fn begun(&self) -> u64 {
        self.schedule.standing.as_ref().map_or(0, |standing| self.schedule.planned(standing))
    }

    /// The network.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.studio.graph
    }

    /// The device: another handle than at the beginning, where that was lost.
    pub fn gpu(&self) -> &Gpu {
        &self.studio.gpu
    }
}

/// How memory would be used at every scale, with the kernels that a session would use; `measure`: with those that it would
/// have measured.
///
/// # Errors
/// As [`Session::run`].
pub async fn plans(
    gpu: &Gpu,
    graph: &Graph,
    planner: &Planner,
    measure: bool,
    watcher: &mut dyn Watcher,
) -> Result<Vec<MemoryPlan>> {
    let size = planner.seen_size(gpu, graph)?;
    kernels::choose((gpu, graph), (size, measure), &mut None, watcher).await?;
    planner.all(gpu, graph)
}

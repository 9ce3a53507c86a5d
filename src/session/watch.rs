//! What a session tells whoever runs it, and what it asks of them.

use super::standing::{Kernels, Standing, TraceRow};
use crate::error::{Error, Result};
use crate::gpu::Plan;
use crate::paint::{Carried, Layout, LossRow, Verdict};
use crate::picture::Picture;
use crate::plan::MemoryPlan;

/// What happens in a session, as it happens.
pub enum Event<'a> {
    /// Kernels are measured, once for this device.
    Measuring {
        /// Classes of layers.
        classes: usize,
        /// The adapter's name.
        adapter: &'a str,
    },
    /// What was remembered of this device is damaged or meant for other kernels.
    StaleKernels,
    /// The fastest variant of a class of layers was found.
    Measured {
        /// The class of layers.
        class: String,
        /// The variant's name.
        variant: String,
    },
    /// The steps so far were taken with other kernels, named here by their device: the result may differ in the last bits.
    OtherKernels {
        /// Where they were taken.
        before: &'a str,
        /// Where the next ones will be.
        now: &'a str,
    },
    /// A plan's memory was not there after all, and a smaller one is tried.
    Smaller(&'a Error, &'a MemoryPlan),
    /// A scale is ready for its first step.
    Ready {
        /// Counted from 0, the coarsest.
        scale: usize,
        /// Width and height of the picture.
        size: (u32, u32),
        /// What a step costs, or both passes over a tile.
        step: &'a Plan,
        /// Bytes of GPU buffers that live now.
        allocated_bytes: u64,
        /// How long the targets took.
        target_seconds: f64,
    },
    /// Steps are taken from now on.
    Begin,
    /// So many steps are done, those that were left out because the loss was flat included.
    Steps(u64),
    /// So many tiles of the next step are done, of so many in both passes together.
    Tiles(usize, usize),
    /// Losses of steps that were done a little while ago, in order, none left out.
    Losses(&'a [LossRow]),
    /// The picture after so many steps, as it would be written: in the size of the result, whatever size is being painted.
    Picture(u64, Picture),
    /// A scale ended after `taken` of its `steps`, because its loss is flat.
    Flat {
        /// Width and height of the picture.
        size: (u32, u32),
        /// Steps that were taken.
        taken: u64,
        /// Steps that were allowed.
        steps: u64,
    },
    /// The GPU was lost, and the session opens it once more.
    Lost(&'a Error),
}

/// A session between two steps, to be kept by whoever can.
pub struct State<'a> {
    /// Counted from 0, the coarsest.
    pub scale: usize,
    /// Steps taken at that scale.
    pub done: u64,
    /// Picture and optimiser.
    pub carried: Carried,
    /// How memory is used at every scale.
    pub layouts: &'a [Layout],
    /// The kernels in use.
    pub kernels: Kernels,
    /// The losses of all steps so far.
    pub trace: &'a [TraceRow],
}

/// Whoever runs a session. Everything but [`Watcher::tell`] has a default, so a closure will do.
pub trait Watcher {
    /// Takes note of an event, and says whether to go on.
    ///
    /// # Errors
    /// Whatever goes wrong with it ends the session.
    fn tell(&mut self, event: Event<'_>) -> Result<Verdict>;

    /// After so many steps: how many may be taken before [`Watcher::is_due`] is asked again.
    fn go(&self, _steps: u64) -> u64 {
        u64::MAX
    }

    /// Whether the state is wanted now, after so many steps.
    fn is_due(&self, _steps: u64) -> bool {
        false
    }

    /// Keeps the state; `true` where [`Watcher::last`] can give it back, so that the session need not hold it.
    ///
    /// # Errors
    /// When it must be kept and can't be.
    fn keep(&mut self, _state: State<'_>) -> Result<bool> {
        Ok(false)
    }

    /// The state that was kept last.
    ///
    /// # Errors
    /// When it can't be read any more.
    fn last(&mut self) -> Result<Option<Standing>> {
        Ok(None)
    }

    /// Choices of kernels that are remembered for a device, as [`crate::tune::to_json`] gave them.
    fn remembered(&mut self, _device: &str) -> Option<String> {
        None
    }

    /// Remembers choices of kernels.
    fn remember(&mut self, _device: &str, _choices: &str) {}
}

impl<F: FnMut(Event<'_>) -> Verdict> Watcher for F {
    fn tell(&mut self, event: Event<'_>) -> Result<Verdict> {
        Ok(self(event))
    }
}

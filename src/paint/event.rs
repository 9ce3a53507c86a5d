//! What a painter tells while it works, and what it is told.

use crate::paint::ring::LossRow;
use crate::picture::Picture;

/// What the painter tells while it works.
pub enum Event<'a> {
    /// So many steps are done.
    Steps(u64),
    /// So many tiles of the next step are done, of so many in both passes together.
    Tiles(usize, usize),
    /// Losses of steps that were done a little while ago, in order, none left out.
    Losses(&'a [LossRow]),
    /// The picture after so many steps, as asked for with `save_every`.
    Picture(u64, Picture),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take the next step.
    Continue,
    /// Stop after the steps under way, or between two tiles.
    Stop,
}

/// What is told about the steps.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(Event<'_>) -> Verdict;

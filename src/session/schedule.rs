//! The course of a painting: scale after scale, in goes between which its state can be kept, once more from there when
//! the GPU was lost. It knows nothing of devices: what paints is a [`Studio`], and the tests have one without a GPU.

use super::standing::{Kernels, Standing, TraceRow};
use super::watch::{Event, State, Watcher};
use crate::error::{Error, Result};
use crate::paint::{self, Carried, Layout, Start, Verdict};
use crate::picture::Picture;

/// What takes the steps at one size.
pub(super) trait Canvas {
    /// Steps taken, those at the scales before included.
    fn steps(&self) -> u64;
    /// Whether more steps are of no use.
    fn is_flat(&self) -> bool;
    /// Tells the losses of steps at this size that were taken before a break.
    fn recall(&mut self, losses: &mut dyn Iterator<Item = f32>);
    /// Takes up to `steps` steps.
    async fn paint(
        &mut self,
        steps: u64,
        save_every: Option<u64>,
        watch: &mut dyn FnMut(paint::Event<'_>) -> Verdict,
    ) -> Result<()>;
    /// What the next scale goes on from.
    async fn carried(&self) -> Result<Carried>;
}

/// What a painting is made with and on.
pub(super) trait Studio {
    type Canvas: Canvas;
    /// Chooses kernels and, where that has not happened, how memory is used at every scale.
    async fn prepare(&mut self, standing: &mut Standing, watcher: &mut dyn Watcher) -> Result<()>;
    /// A canvas for a scale; its layout may become a smaller one.
    async fn canvas(
        &mut self,
        scale: usize,
        start: Start,
        layouts: &mut [Layout],
        watcher: &mut dyn Watcher,
    ) -> Result<Self::Canvas>;
    /// The painting as it would be written.
    async fn finished(&self, canvas: &Self::Canvas) -> Result<Picture>;
    /// A painting as it would be written.
    fn finish(&self, painting: Picture) -> Result<Picture>;
    /// The kernels in use.
    fn kernels(&self) -> Kernels;
    /// Whether an error comes from the loss of the device.
    fn is_lost(&self, error: &Error) -> bool;
    /// Opens the device once more.
    async fn reopen(&mut self) -> Result<()>;
}

/// Which steps are to be taken, and where the painting stands.
pub(super) struct Schedule {
    /// Width and height at every scale, and steps to take there.
    pub scales: Vec<((u32, u32), u64)>,
    /// A picture in between is shown after every so many steps.
    pub save_every: Option<u64>,
    /// Where it goes on from; `None` where the watcher has that.
    pub standing: Option<Standing>,
    /// The losses of all steps so far.
    pub trace: Vec<TraceRow>,
    /// The step after which a picture in between was shown last.
    saved: u64,
    /// Steps that were not taken, because the loss was flat before.
    skipped: u64,
}

/// How a painting ended.
pub(super) struct Ended<C> {
    pub canvas: C,
    /// The watcher said stop.
    pub stopped: bool,
    /// Whether the state of a stopped painting could be kept.
    pub kept: Result<()>,
}

impl Schedule {
    pub fn new(
        scales: Vec<((u32, u32), u64)>,
        save_every: Option<u64>,
        (standing, trace): (Standing, Vec<TraceRow>),
    ) -> Self {
        let standing = Some(standing);
        Schedule { scales, save_every, standing, trace, saved: 0, skipped: 0 }
    }

    /// Paints to the end or until the watcher says stop; once more from where it stood when the GPU was lost.
    pub async fn run<S: Studio>(
        &mut self,
        studio: &mut S,
        watcher: &mut dyn Watcher,
    ) -> Result<Ended<S::Canvas>> {
        match self.attempt(studio, watcher).await {
            Err(error) if studio.is_lost(&error) => {
                watcher.tell(Event::Lost(&error))?;
                studio.reopen().await?;
                self.attempt(studio, watcher).await
            }
            ended => ended,
        }
    }

    async fn attempt<S: Studio>(
        &mut self,
        studio: &mut S,
        watcher: &mut dyn Watcher,
    ) -> Result<Ended<S::Canvas>> {
        let mut standing = self.stand(watcher)?;
        studio.prepare(&mut standing, watcher).await?;
        loop {
            self.skipped = self.planned(&standing).saturating_sub(standing.steps());
            self.standing = Some(standing.clone());
            let Standing { scale, done, start, kernels, mut layouts } = standing;
            let mut canvas = studio.canvas(scale, start, &mut layouts, watcher).await?;
            let before = self.trace.iter().filter(|row| row.scale == scale);
            canvas.recall(&mut before.map(|row| row.losses.total));
            let at = (scale, done, layouts.as_slice());
            let (stopped, kept) = self.paint_scale(studio, &mut canvas, at, watcher).await?;
            if stopped || scale + 1 == self.scales.len() {
                return Ok(Ended { canvas, stopped, kept });
            }
            let start = Start::Carried(Box::new(canvas.carried().await?));
            standing = Standing { scale: scale + 1, done: 0, start, kernels, layouts };
        }
    }

    /// Where the painting goes on from: what is in memory, or what was kept last. The trace goes back to there.
    fn stand(&mut self, watcher: &mut dyn Watcher) -> Result<Standing> {
        let standing = match &self.standing {
            Some(standing) => standing.clone(),
            None => watcher.last()?.unwrap_or_else(|| Standing::first(Start::Content)),
        };
        let steps = standing.steps();
        self.trace.retain(|row| row.losses.step < steps);
        Ok(standing)
    }

    /// Steps that were to be taken before a place: some of them may have been skipped.
    pub fn planned(&self, standing: &Standing) -> u64 {
        let before = self.scales.iter().take(standing.scale);
        before.map(|(_, steps)| *steps).fold(standing.done, u64::saturating_add)
    }

    /// Whether a picture in between is due after so many steps.
    fn shows(&self, steps: u64) -> bool {
        self.save_every.is_some_and(|every| steps.is_multiple_of(every))
    }

    /// Takes the steps of a scale that are left after `done`, in goes: between two of them the state can be kept.
    /// Whether the watcher said stop, and whether the state could be kept then.
    async fn paint_scale<S: Studio>(
        &mut self,
        studio: &S,
        canvas: &mut S::Canvas,
        (scale, mut done, layouts): (usize, u64, &[Layout]),
        watcher: &mut dyn Watcher,
    ) -> Result<(bool, Result<()>)> {
        let (size, steps) = self.scales[scale];
        let finest = scale + 1 == self.scales.len();
        let before = canvas.steps().saturating_sub(done);
        let mut stopped = false;
        while done < steps && !stopped && !canvas.is_flat() {
            let go = watcher.go(canvas.steps()).min(steps - done);
            stopped = self.go(studio, canvas, (scale, go), watcher).await?;
            done = canvas.steps() - before;
            // The last step of all is the result, and the last of a scale is none yet.
            let between = done < steps || !finest;
            if between && self.shows(canvas.steps()) && self.saved != canvas.steps() {
                let picture = studio.finished(canvas).await?;
                self.saved = canvas.steps();
                stopped |= watcher.tell(Event::Picture(self.saved, picture))? == Verdict::Stop;
            }
            if between && !stopped && watcher.is_due(canvas.steps()) {
                let place = if done < steps { (scale, done) } else { (scale + 1, 0) };
                self.keep(studio, canvas, place, layouts, watcher).await?;
            }
        }
        if stopped {
            return Ok((true, self.keep(studio, canvas, (scale, done), layouts, watcher).await));
        }
        if done < steps {
            watcher.tell(Event::Flat { size, taken: done, steps })?;
        }
        Ok((false, Ok(())))
    }

    async fn keep<S: Studio>(
        &mut self,
        studio: &S,
        canvas: &S::Canvas,
        (scale, done): (usize, u64),
        layouts: &[Layout],
        watcher: &mut dyn Watcher,
    ) -> Result<()> {
        let (carried, kernels) = (canvas.carried().await?, studio.kernels());
        let trace = self.trace.as_slice();
        if watcher.keep(State { scale, done, carried, layouts, kernels, trace })? {
            self.standing = None;
        }
        Ok(())
    }

    /// Takes so many steps, or fewer when the state is wanted or the watcher says stop; whether it did.
    async fn go<S: Studio>(
        &mut self,
        studio: &S,
        canvas: &mut S::Canvas,
        (scale, steps): (usize, u64),
        watcher: &mut dyn Watcher,
    ) -> Result<bool> {
        let (mut failed, mut stopped) = (None, false);
        watcher.tell(Event::Begin)?;
        let mut watch = |event: paint::Event<'_>| {
            let mut due = false;
            let told = match event {
                paint::Event::Steps(done) => {
                    due = watcher.is_due(done);
                    watcher.tell(Event::Steps(done + self.skipped))
                }
                paint::Event::Tiles(done, of) => watcher.tell(Event::Tiles(done, of)),
                paint::Event::Losses(rows) => {
                    self.trace.extend(rows.iter().map(|row| TraceRow { scale, losses: *row }));
                    watcher.tell(Event::Losses(rows))
                }
                paint::Event::Picture(step, picture) => {
                    self.saved = step;
                    let picture = studio.finish(picture);
                    picture.and_then(|picture| watcher.tell(Event::Picture(step, picture)))
                }
            };
            match told {
                Ok(verdict) => stopped |= verdict == Verdict::Stop,
                Err(error) => failed = failed.take().or(Some(error)),
            }
            if due || stopped || failed.is_some() { Verdict::Stop } else { Verdict::Continue }
        };
        canvas.paint(steps, self.save_every, &mut watch).await?;
        match failed {
            Some(error) => Err(error),
            None => Ok(stopped),
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;

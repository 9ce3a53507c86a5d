//! What is seen of the work: a bar on a terminal, plain lines elsewhere, nothing with `-q`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::Common;
use impasto::transfer::LossRow;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Plain lines come this far apart.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Steps of each scale, and what one of them costs, in any unit.
#[derive(Clone)]
pub struct Work(pub Vec<(u64, f64)>);

impl Work {
    fn steps(&self) -> u64 {
        self.0.iter().fold(0, |sum, (steps, _)| sum.saturating_add(*steps))
    }

    /// Cost of the first `done` steps.
    fn cost(&self, mut done: u64) -> f64 {
        let mut cost = 0.0;
        for (steps, each) in &self.0 {
            cost += done.min(*steps) as f64 * each;
            done = done.saturating_sub(*steps);
        }
        cost
    }

    /// Seconds left, where the steps from `from` to `done` took `elapsed`.
    fn left(&self, from: u64, done: u64, elapsed: Duration) -> f64 {
        let (taken, all) = (self.cost(done) - self.cost(from), self.cost(u64::MAX));
        let rest = all - self.cost(done);
        if taken > 0.0 { elapsed.as_secs_f64() * rest / taken } else { f64::INFINITY }
    }
}

pub enum Progress {
    Bar(ProgressBar),
    Lines { work: Work, from: u64, start: Instant, next: Instant, loss: Option<f32> },
    Quiet,
}

impl Progress {
    /// For work of which `from` steps are done.
    pub fn new(work: Work, from: u64, quiet: bool) -> Self {
        if quiet {
            return Progress::Quiet;
        }
        let start = Instant::now();
        if !std::io::stderr().is_terminal() {
            return Progress::Lines { work, from, start, next: start + LINE_EVERY, loss: None };
        }
        let bar = ProgressBar::new(work.steps()).with_position(from);
        let template = "{bar:32} {pos}/{len} steps  {msg}  {per_sec}  {left} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style.with_key(
                "per_sec",
                |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.2} steps/s", state.per_sec());
                },
            );
            let style = style.with_key(
                "left",
                move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let left = work.left(from, state.pos(), state.elapsed()).min(1e9);
                    let _ = write!(out, "{}", HumanDuration(Duration::from_secs_f64(left)));
                },
            );
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress::Bar(bar)
    }

    /// [`Common::say`] above the bar.
    pub fn say(&self, common: &Common, line: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar) => bar.suspend(|| common.say(line)),
            _ => common.say(line),
        }
    }

    /// A line that only `-q` keeps back, above the bar.
    pub fn note(&self, line: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar) => bar.suspend(|| note!("{}", line())),
            Progress::Lines { .. } => note!("{}", line()),
            Progress::Quiet => {}
        }
    }

    /// A scale ended before its last step.
    pub fn flat(&self, (width, height): (u32, u32), taken: u64, steps: u64) {
        self.note(|| {
            format!("{width}×{height} px: the loss is flat after {taken} of {steps} steps")
        });
    }

    /// So many tiles of the next step are done, of so many.
    pub fn tiles(&mut self, done: usize, of: usize) {
        match self {
            Progress::Bar(bar) => bar.set_message(format!("tile {done}/{of}")),
            Progress::Lines { next, .. } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                note!("tile {done} of {of}");
            }
            _ => {}
        }
    }

    /// So many steps are done.
    pub fn steps(&mut self, done: u64) {
        match self {
            Progress::Bar(bar) => bar.set_position(done),
            Progress::Lines { work, from, start, next, loss } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                let rate = done.saturating_sub(*from) as f64 / start.elapsed().as_secs_f64();
                let (total, left) = (work.steps(), work.left(*from, done, start.elapsed()));
                let loss = loss.map_or(String::new(), |l| format!("loss {l:.4}, "));
                note!("{done}/{total} steps, {loss}{rate:.2} steps/s, {left:.0} s left");
            }
            _ => {}
        }
    }

    /// The losses of some steps have arrived.
    pub fn losses(&mut self, rows: &[LossRow]) {
        let Some(last) = rows.last() else { return };
        match self {
            Progress::Bar(bar) => bar.set_message(format!("loss {:.4}", last.total)),
            Progress::Lines { loss, .. } => *loss = Some(last.total),
            Progress::Quiet => {}
        }
    }

    /// Takes the bar away and leaves a line.
    pub fn finish(self, line: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar) => {
                bar.finish_and_clear();
                note!("{}", line());
            }
            Progress::Lines { .. } => note!("{}", line()),
            Progress::Quiet => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_counts_by_its_cost() {
        let work = Work(vec![(10, 1.0), (10, 4.0)]);
        assert_eq!(work.steps(), 20);
        // Half of the steps, a fifth of the work.
        assert_eq!(work.left(0, 10, Duration::from_secs(5)), 20.0);
        assert_eq!(work.left(0, 15, Duration::from_secs(15)), 10.0);
        assert_eq!(work.left(0, 20, Duration::from_secs(25)), 0.0);
        // What was done before took none of this time.
        assert_eq!(work.left(10, 15, Duration::from_secs(10)), 10.0);
        assert!(work.left(0, 0, Duration::from_secs(1)).is_infinite());
    }
}

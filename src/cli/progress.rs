//! What is seen of the work: a bar on a terminal, plain lines elsewhere, nothing with `-q`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::flags::Common;
use crate::cli::output::note;
use impasto::paint::LossRow;
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

    /// Seconds left, where the steps from `from` to `done` took `elapsed`; nothing is known before the first of them.
    fn left(&self, from: u64, done: u64, elapsed: Duration) -> Option<f64> {
        let (taken, all) = (self.cost(done) - self.cost(from), self.cost(u64::MAX));
        let rest = all - self.cost(done);
        (taken > 0.0).then(|| elapsed.as_secs_f64() * rest / taken)
    }
}

pub enum Progress {
    /// And whether the first step has begun.
    Bar(ProgressBar, bool),
    Lines {
        work: Work,
        from: u64,
        start: Option<Instant>,
        next: Instant,
        loss: Option<f32>,
    },
    Quiet,
}

impl Progress {
    /// For work of which `from` steps are done.
    pub fn new(work: Work, from: u64, quiet: bool) -> Self {
        if quiet {
            return Progress::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            let next = Instant::now() + LINE_EVERY;
            return Progress::Lines { work, from, start: None, next, loss: None };
        }
        let bar = ProgressBar::new(work.steps()).with_position(from);
        let template = "{bar:32} {pos}/{len} steps  {msg}{rate}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style.with_key(
                "rate",
                move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let (done, elapsed) = (state.pos(), state.elapsed());
                    let Some(left) = work.left(from, done, elapsed) else { return };
                    let left = HumanDuration(Duration::from_secs_f64(left.min(1e9)));
                    let rate = rate(from, done, elapsed);
                    let _ = write!(out, "  {rate:.2} steps/s  {left} left");
                },
            );
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress::Bar(bar, false)
    }

    /// Steps are taken from now on: what comes before the first of them is not their time.
    pub fn begin(&mut self) {
        match self {
            Progress::Bar(bar, begun @ false) => {
                bar.reset_elapsed();
                *begun = true;
            }
            Progress::Lines { start, .. } => {
                start.get_or_insert_with(Instant::now);
            }
            _ => {}
        }
    }

    /// [`Common::say`] above the bar.
    pub fn say(&self, common: &Common, line: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar, _) => bar.suspend(|| common.say(line)),
            _ => common.say(line),
        }
    }

    /// A line that only `-q` keeps back, above the bar.
    pub fn note(&self, line: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar, _) => bar.suspend(|| note!("{}", line())),
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
            Progress::Bar(bar, _) => bar.set_message(format!("tile {done}/{of}")),
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
            Progress::Bar(bar, _) => bar.set_position(done),
            Progress::Lines { work, from, start, next, loss } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                let elapsed = start.map_or(Duration::ZERO, |start| start.elapsed());
                let loss = loss.map_or(String::new(), |l| format!(", loss {l:.4}"));
                let speed = work.left(*from, done, elapsed).map_or(String::new(), |left| {
                    format!(", {:.2} steps/s, {left:.0} s left", rate(*from, done, elapsed))
                });
                note!("{done}/{} steps{loss}{speed}", work.steps());
            }
            _ => {}
        }
    }

    /// The losses of some steps have arrived.
    pub fn losses(&mut self, rows: &[LossRow]) {
        let Some(last) = rows.last() else { return };
        match self {
            Progress::Bar(bar, _) => bar.set_message(format!("loss {:.4}", last.total)),
            Progress::Lines { loss, .. } => *loss = Some(last.total),
            Progress::Quiet => {}
        }
    }

    /// Takes the bar away and leaves a line.
    pub fn finish(self, line: impl FnOnce() -> String) {
        match self {
            Progress::Bar(bar, _) => {
                bar.finish_and_clear();
                note!("{}", line());
            }
            Progress::Lines { .. } => note!("{}", line()),
            Progress::Quiet => {}
        }
    }
}

/// Steps a second.
fn rate(from: u64, done: u64, elapsed: Duration) -> f64 {
    done.saturating_sub(from) as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_counts_by_its_cost() {
        let work = Work(vec![(10, 1.0), (10, 4.0)]);
        assert_eq!(work.steps(), 20);
        // Half of the steps, a fifth of the work.
        assert_eq!(work.left(0, 10, Duration::from_secs(5)), Some(20.0));
        assert_eq!(work.left(0, 15, Duration::from_secs(15)), Some(10.0));
        assert_eq!(work.left(0, 20, Duration::from_secs(25)), Some(0.0));
        // What was done before took none of this time.
        assert_eq!(work.left(10, 15, Duration::from_secs(10)), Some(10.0));
        assert_eq!(work.left(0, 0, Duration::from_secs(1)), None);
    }
}

//! What is seen of the work: a bar on a terminal, plain lines elsewhere, nothing with `-q`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use impasto::transfer::LossRow;
use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines come this far apart.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub enum Progress {
    Bar(ProgressBar),
    Lines { total: u64, start: Instant, next: Instant, loss: Option<f32> },
    Quiet,
}

impl Progress {
    pub fn new(total: u64, quiet: bool) -> Self {
        if quiet {
            return Progress::Quiet;
        }
        let start = Instant::now();
        if !std::io::stderr().is_terminal() {
            return Progress::Lines { total, start, next: start + LINE_EVERY, loss: None };
        }
        let bar = ProgressBar::new(total);
        let template = "{bar:32} {pos}/{len} steps  {msg}  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style.with_key(
                "per_sec",
                |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.2} steps/s", state.per_sec());
                },
            );
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress::Bar(bar)
    }

    /// So many steps are done.
    pub fn steps(&mut self, done: u64) {
        match self {
            Progress::Bar(bar) => bar.set_position(done),
            Progress::Lines { total, start, next, loss } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                let rate = done as f64 / start.elapsed().as_secs_f64();
                let left = if rate > 0.0 { (*total - done) as f64 / rate } else { f64::INFINITY };
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

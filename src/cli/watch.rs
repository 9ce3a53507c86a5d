//! A session on a terminal: progress, interruption, trace, pictures in between, checkpoints, and the result's file.

use std::process::ExitCode;

use impasto::Result;
use impasto::paint::Verdict;
use impasto::session::{Event, Outcome, Session, Standing, State, Watcher};
use pollster::block_on;

use super::checkpoint::Keeper;
use super::flags::Common;
use super::interrupt::Interrupt;
use super::order::{Order, json_lines};
use super::output::{note, told};
use super::progress::{Progress, Work};
use super::{describe, file, remembered};

/// What stands between a session and whoever typed the command.
struct Terminal<'a> {
    common: &'a Common,
    order: &'a Order<'a>,
    interrupt: &'a Interrupt,
    progress: Progress,
    /// What writes checkpoints, where there are any.
    keeper: Option<Keeper>,
}

/// Runs a session and writes what was ordered.
///
/// # Errors
/// What is wrong with the files, and what the session reports.
pub fn run(
    common: &Common,
    order: &Order<'_>,
    session: &mut Session,
    interrupt: &Interrupt,
    keeper: Option<Keeper>,
) -> Result<ExitCode> {
    let cost = |((w, h), steps): &((u32, u32), u64)| (*steps, f64::from(*w) * f64::from(*h));
    let work = Work(session.scales().iter().map(cost).collect());
    let progress = Progress::new(work, session.begun(), common.quiet);
    let mut terminal = Terminal { common, order, interrupt, progress, keeper };
    let painted = block_on(session.run(&mut terminal));
    // The trace of a run that failed is what tells why.
    let traced = match order.trace {
        Some(path) => {
            json_lines(session.trace()).and_then(|lines| file::write_atomic(path, &lines))
        }
        None => Ok(()),
    };
    let Terminal { progress, keeper, .. } = terminal;
    let written = painted.and_then(|mut outcome| {
        file::write_atomic(order.output, &order.encode(&outcome.picture)?)?;
        traced.and(std::mem::replace(&mut outcome.kept, Ok(()))).map(|()| outcome)
    });
    let outcome = written.inspect_err(|_| tell_command(keeper.as_ref()))?;
    let seconds = session.trace().last().map_or(0.0, |row| row.losses.seconds);
    progress.finish(|| finished(order, &outcome, seconds));
    let peak = session.gpu().peak_bytes() as f64 / 1e6;
    common.say(|| format!("at most {peak:.1} MB of GPU buffers at once"));
    let Outcome { mut painter, stopped, .. } = outcome;
    match stopped {
        true if common.quiet => {}
        true => tell_command(keeper.as_ref()),
        false => keeper.into_iter().for_each(Keeper::finish),
    }
    if common.verbose > 1 {
        // The picture is there: this decides nothing any more.
        describe::profile(&mut painter)
            .unwrap_or_else(|error| note!("no GPU time by dispatch: {error}"));
    }
    Ok(ExitCode::from(interrupt.code().filter(|_| stopped).unwrap_or(0)))
}

/// The last line.
fn finished(order: &Order<'_>, outcome: &Outcome, seconds: f64) -> String {
    let stopped = if outcome.stopped { "interrupted: " } else { "" };
    let (output, (w, h)) = (order.output.display(), outcome.picture.size());
    let steps = outcome.painter.steps();
    format!("{stopped}{output}: {w}×{h} px after {steps} steps in {seconds:.1} s")
}

/// Says how to go on, where that is possible.
fn tell_command(keeper: Option<&Keeper>) {
    if let Some(command) = keeper.and_then(Keeper::command) {
        note!("to go on: {command}");
    }
}

impl Terminal<'_> {
    /// Says what `event` means.
    fn note(&mut self, event: Event<'_>) -> Result<()> {
        let (common, progress) = (self.common, &mut self.progress);
        match event {
            Event::Measuring { .. } | Event::Measured { .. } | Event::StaleKernels => {
                match about_kernels(&event) {
                    Spoken::Note(line) => progress.note(|| line),
                    Spoken::Detail(line) => progress.say(common, || line),
                }
            }
            Event::OtherKernels { before, now } => progress.note(|| other_kernels(before, now)),
            Event::Smaller(error, plan) => {
                let error = told(error);
                progress.note(|| format!("{error}; trying {plan}"));
            }
            Event::Ready { scale, size, step, allocated_bytes, target_seconds } => {
                progress.say(common, || describe::step(step, size, allocated_bytes));
                if scale == 0 {
                    let all = common.launched.elapsed().as_secs_f64();
                    progress.say(common, || {
                        format!(
                            "ready {all:.2} s after launch, {target_seconds:.2} s of it for targets"
                        )
                    });
                }
            }
            Event::Begin => progress.begin(),
            Event::Steps(done) => progress.steps(done),
            Event::Tiles(done, of) => progress.tiles(done, of),
            Event::Losses(rows) => progress.losses(rows),
            Event::Picture(step, picture) => self.order.save(step, &picture)?,
            Event::Flat { size, taken, steps } => progress.flat(size, taken, steps),
            Event::Lost(error) => progress.note(|| format!("{}: trying once more", told(error))),
        }
        Ok(())
    }
}

/// A line, and who gets it.
enum Spoken {
    /// All but those who said `-q`.
    Note(String),
    /// Who said `-v`.
    Detail(String),
}

/// What is said about kernels that are chosen.
fn about_kernels(event: &Event<'_>) -> Spoken {
    match event {
        Event::Measuring { classes, adapter } => Spoken::Note(format!(
            "measuring which kernels are fastest on {adapter}: {classes} kinds of layers, once (--no-tune leaves it out)"
        )),
        Event::Measured { class, variant } => Spoken::Detail(format!("  {class}: {variant}")),
        _ => Spoken::Detail(remembered::STALE.into()),
    }
}

/// Nothing is painted, but kernels are chosen: `--plan`.
pub struct Planning<'a>(pub &'a Common);

impl Watcher for Planning<'_> {
    fn tell(&mut self, event: Event<'_>) -> Result<Verdict> {
        match about_kernels(&event) {
            Spoken::Note(line) if !self.0.quiet => note!("{line}"),
            Spoken::Note(_) => {}
            Spoken::Detail(line) => self.0.say(|| line),
        }
        Ok(Verdict::Continue)
    }

    fn remembered(&mut self, device: &str) -> Option<String> {
        remembered::read(device)
    }

    fn remember(&mut self, device: &str, choices: &str) {
        if remembered::save(device, choices).is_none() {
            self.0.say(|| remembered::NOWHERE.into());
        }
    }
}

fn other_kernels(before: &str, now: &str) -> String {
    let other = match before == now {
        true => "other kernels".into(),
        false => format!("{before}, and this is {now}"),
    };
    format!("the steps so far were taken with {other}: the result may differ in the last bits")
}

impl Watcher for Terminal<'_> {
    fn tell(&mut self, event: Event<'_>) -> Result<Verdict> {
        self.note(event)?;
        let stop = self.interrupt.code().is_some();
        Ok(if stop { Verdict::Stop } else { Verdict::Continue })
    }

    fn go(&self, steps: u64) -> u64 {
        self.keeper.as_ref().map_or(u64::MAX, |keeper| keeper.go(steps))
    }

    fn is_due(&self, steps: u64) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.is_due(steps))
    }

    fn keep(&mut self, state: State<'_>) -> Result<bool> {
        let Some(keeper) = &mut self.keeper else { return Ok(false) };
        let first = keeper.command().is_none();
        let kept = keeper.keep(state)?;
        if let Some(command) = keeper.command().filter(|_| kept && first) {
            self.progress.note(|| {
                format!("a checkpoint is kept from now on; to go on after a stop: {command}")
            });
        }
        Ok(kept)
    }

    fn last(&mut self) -> Result<Option<Standing>> {
        self.keeper.as_ref().map(Keeper::last).transpose()
    }

    fn remembered(&mut self, device: &str) -> Option<String> {
        remembered::read(device)
    }

    fn remember(&mut self, device: &str, choices: &str) {
        if remembered::save(device, choices).is_none() {
            self.progress.say(self.common, || remembered::NOWHERE.into());
        }
    }
}

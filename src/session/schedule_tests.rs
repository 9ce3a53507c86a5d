//! The schedule without a device: a canvas that counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;
use crate::optim::State as OptimizerState;
use crate::paint::LossRow;
use crate::picture::Depth;

/// What happened, in order.
type Log = Rc<RefCell<Vec<String>>>;

/// Counts steps; lost after so many of them.
struct Counter {
    size: (u32, u32),
    steps: u64,
    /// Steps at this size.
    taken: u64,
    flat_after: u64,
    lost_after: Rc<Cell<u64>>,
    log: Log,
}

fn grey((width, height): (u32, u32)) -> Picture {
    let rgb = vec![0.5; 3 * width as usize * height as usize];
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

impl Canvas for Counter {
    fn steps(&self) -> u64 {
        self.steps
    }

    fn is_flat(&self) -> bool {
        self.taken >= self.flat_after
    }

    fn recall(&mut self, losses: &mut dyn Iterator<Item = f32>) {
        self.taken += losses.count() as u64;
    }

    async fn paint(
        &mut self,
        steps: u64,
        _: Option<u64>,
        watch: &mut dyn FnMut(paint::Event<'_>) -> Verdict,
    ) -> Result<()> {
        for _ in 0..steps {
            if watch(paint::Event::Steps(self.steps)) == Verdict::Stop || self.is_flat() {
                break;
            }
            if self.steps >= self.lost_after.get() {
                return Err(Error::DeviceLost("gone".into()));
            }
            let (step, loss) = (self.steps, 1.0 / (1 + self.steps) as f32);
            let (total, content, style, tv) = (loss, 0.0, 0.0, 0.0);
            let row = LossRow { step, total, content, style, tv, seconds: 0.0 };
            self.steps += 1;
            self.taken += 1;
            if watch(paint::Event::Losses(&[row])) == Verdict::Stop {
                break;
            }
        }
        self.log.borrow_mut().push(format!("{}: {}", self.size.0, self.steps));
        Ok(())
    }

    async fn carried(&self) -> Result<Carried> {
        let (steps, tensors) = (self.steps, BTreeMap::new());
        let state = OptimizerState { steps, tensors };
        Ok(Carried { picture: grey(self.size), state, seconds: 0.0 })
    }
}

struct Stand {
    log: Log,
    lost_after: Rc<Cell<u64>>,
    flat_after: u64,
}

impl Studio for Stand {
    type Canvas = Counter;

    async fn prepare(&mut self, standing: &mut Standing, _: &mut dyn Watcher) -> Result<()> {
        standing.layouts = vec![Layout::default(); 2];
        Ok(())
    }

    async fn canvas(
        &mut self,
        scale: usize,
        start: Start,
        _: &mut [Layout],
        _: &mut dyn Watcher,
    ) -> Result<Counter> {
        let steps = match start {
            Start::Carried(carried) => carried.state.steps,
            _ => 0,
        };
        let (log, lost_after) = (self.log.clone(), self.lost_after.clone());
        let size = SCALES[scale].0;
        Ok(Counter { size, steps, taken: 0, flat_after: self.flat_after, lost_after, log })
    }

    async fn finished(&self, canvas: &Counter) -> Result<Picture> {
        Ok(grey(canvas.size))
    }

    fn finish(&self, painting: Picture) -> Result<Picture> {
        Ok(painting)
    }

    fn kernels(&self) -> Kernels {
        Kernels { device: "none".into(), choices: String::new() }
    }

    fn is_lost(&self, error: &Error) -> bool {
        matches!(error, Error::DeviceLost(_))
    }

    async fn reopen(&mut self) -> Result<()> {
        self.log.borrow_mut().push("reopened".into());
        self.lost_after.set(u64::MAX);
        Ok(())
    }
}

const SCALES: [((u32, u32), u64); 2] = [((8, 8), 3), ((16, 16), 6)];

/// Notes what it is told, keeps the state after every so many steps, and says stop after so many.
struct Notes {
    told: Vec<String>,
    every: u64,
    next: u64,
    stop_after: u64,
    kept: Option<Standing>,
    refuses: bool,
}

impl Notes {
    fn new(every: u64) -> Self {
        let stop_after = u64::MAX;
        Notes { told: Vec::new(), every, next: every, stop_after, kept: None, refuses: false }
    }
}

impl Watcher for Notes {
    fn tell(&mut self, event: Event<'_>) -> Result<Verdict> {
        match event {
            Event::Steps(done) if done >= self.stop_after => return Ok(Verdict::Stop),
            Event::Picture(step, picture) => {
                self.told.push(format!("picture {step} of {}", picture.width()));
            }
            Event::Flat { taken, steps, .. } => self.told.push(format!("flat {taken}/{steps}")),
            Event::Lost(_) => self.told.push("lost".into()),
            _ => {}
        }
        Ok(Verdict::Continue)
    }

    fn go(&self, steps: u64) -> u64 {
        self.next.saturating_sub(steps).max(1)
    }

    fn is_due(&self, steps: u64) -> bool {
        steps >= self.next
    }

    fn keep(&mut self, state: State<'_>) -> Result<bool> {
        self.next = state.carried.state.steps.saturating_add(self.every);
        if self.refuses {
            return Err(Error::System("full".into()));
        }
        self.told.push(format!("kept {}.{}, {} rows", state.scale, state.done, state.trace.len()));
        let start = Start::Carried(Box::new(state.carried));
        let (scale, done, kernels) = (state.scale, state.done, Some(state.kernels));
        self.kept = Some(Standing { scale, done, start, kernels, layouts: state.layouts.to_vec() });
        Ok(true)
    }

    fn last(&mut self) -> Result<Option<Standing>> {
        Ok(self.kept.clone())
    }
}

/// How it ended, what the canvases noted, and scale and step of every row of the trace.
type Ran = (Result<Ended<Counter>>, Vec<String>, Vec<(usize, u64)>);

/// Runs a schedule whose device is lost, and whose losses are flat, after so many steps.
fn run(notes: &mut Notes, (lost_after, flat_after): (u64, u64), save_every: Option<u64>) -> Ran {
    let log = Log::default();
    let lost_after = Rc::new(Cell::new(lost_after));
    let mut studio = Stand { log: log.clone(), lost_after, flat_after };
    let first = (Standing::first(Start::Content), Vec::new());
    let mut schedule = Schedule::new(SCALES.to_vec(), save_every, first);
    let ended = pollster::block_on(schedule.run(&mut studio, notes));
    let trace = schedule.trace.iter().map(|row| (row.scale, row.losses.step)).collect();
    let log = log.borrow().clone();
    (ended, log, trace)
}

fn all() -> Vec<(usize, u64)> {
    (0..9).map(|step| (usize::from(step >= 3), step)).collect()
}

#[test]
fn every_scale_goes_on_where_the_one_before_ended() {
    let mut notes = Notes::new(u64::MAX);
    let (ended, log, trace) = run(&mut notes, (u64::MAX, u64::MAX), None);
    let ended = ended.expect("painted");
    assert!(!ended.stopped && ended.kept.is_ok() && ended.canvas.size == (16, 16));
    assert_eq!(log, ["8: 3", "16: 9"]);
    assert_eq!(trace, all());
    assert!(notes.told.is_empty());
}

#[test]
fn states_are_kept_between_two_goes() {
    let mut notes = Notes::new(3);
    let (_, log, _) = run(&mut notes, (u64::MAX, u64::MAX), None);
    assert_eq!(log, ["8: 3", "16: 6", "16: 9"]);
    // The end of a scale is the beginning of the next; the end of all is the result.
    assert_eq!(notes.told, ["kept 1.0, 3 rows", "kept 1.3, 6 rows"]);
}

#[test]
fn a_lost_device_goes_on_from_what_was_kept() {
    let mut notes = Notes::new(2);
    let (ended, log, trace) = run(&mut notes, (7, u64::MAX), None);
    assert!(ended.is_ok());
    assert_eq!(trace, all(), "no row is missing or there twice");
    assert!(log.contains(&"reopened".into()), "{log:?}");
    // Nothing kept: from the beginning of the scale.
    let mut notes = Notes::new(u64::MAX);
    let (ended, log, trace) = run(&mut notes, (7, u64::MAX), None);
    assert!(ended.is_ok());
    assert_eq!((trace, log), (all(), ["8: 3", "reopened", "16: 9"].map(String::from).to_vec()));
}

#[test]
fn what_is_flat_ends_early_and_pictures_in_between_are_shown_once() {
    let mut notes = Notes::new(u64::MAX);
    let (ended, _, trace) = run(&mut notes, (u64::MAX, 2), Some(2));
    assert!(ended.is_ok_and(|ended| !ended.stopped));
    assert_eq!(trace, [(0, 0), (0, 1), (1, 2), (1, 3)]);
    let expected = ["picture 2 of 8", "flat 2/3", "picture 4 of 16", "flat 2/6"];
    assert_eq!(notes.told, expected);
}

#[test]
fn who_says_stop_gets_the_state_or_hears_why_not() {
    for refuses in [false, true] {
        let mut notes = Notes { stop_after: 5, refuses, ..Notes::new(u64::MAX) };
        let (ended, _, trace) = run(&mut notes, (u64::MAX, u64::MAX), None);
        let ended = ended.expect("a picture");
        assert!(ended.stopped && ended.kept.is_ok() != refuses);
        assert_eq!(trace.len(), 5);
        assert_eq!(notes.kept.map(|kept| (kept.scale, kept.done)), (!refuses).then_some((1, 2)));
    }
}

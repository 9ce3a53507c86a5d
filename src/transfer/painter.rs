//! The step loop: a program recorded once, replayed until the picture is done.

use super::flat::Flat;
use super::loss::{LossSettings, Targets};
use super::ring::{LossRow, Ring};
use super::start::{Carried, Start};
use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Program, Timing};
use crate::nets::Graph;
use crate::optim::{Descent, Optimizer};
use crate::picture::{Depth, Picture};
use crate::tape::Tape;

/// Steps that take longer than this are waited for one by one, so that an interruption never waits
/// for two; shorter ones overlap with the host's work.
const LONG_STEP_SECONDS: f64 = 0.1;

/// After so many steps it is looked whether the loss is flat, and waited for all losses: two runs end at the same
/// step, whenever losses arrive.
const FLAT_EVERY: u64 = 10;

const NOTHING_TO_DO: &str = "nothing would move the picture: one of --content-weight, --style-weight and \
     --tv-weight must be above 0, and a layer's weight too";

/// All that a picture is made from. Pictures come in the sizes they are used at.
pub struct Job<'a> {
    /// The content, at the size of the result.
    pub content: &'a Picture,
    /// The styles, each with its weight in the blend.
    pub styles: &'a [(Picture, f32)],
    /// The initial picture.
    pub start: Start,
    /// The loss.
    pub loss: LossSettings,
    /// How the picture is moved.
    pub descent: Descent,
}

/// What the painter tells while it works.
pub enum Event<'a> {
    /// So many steps are done.
    Steps(u64),
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
    /// Stop after the steps under way.
    Stop,
}

/// A picture in the making.
pub struct Painter {
    gpu: Gpu,
    program: Program,
    /// What the result has from the content: size, alpha, depth.
    frame: ((u32, u32), Option<Vec<f32>>, Depth),
    optimizer: Optimizer,
    ring: Ring,
    flat: Option<Flat>,
    target_seconds: f64,
    /// Steps taken, those of the painters before included, and the seconds of those.
    steps: u64,
    seconds_before: f64,
    /// When the first step began.
    began: Option<Instant>,
}

impl Painter {
    /// Measures the targets and records the step.
    ///
    /// # Errors
    /// When a layer is missing, a picture too small or too large, or the driver gives up.
    pub async fn new(gpu: &Gpu, graph: &Graph, job: &Job<'_>) -> Result<Self> {
        graph.check_fits(gpu, job.content.size(), "--size")?;
        for (style, _) in job.styles {
            graph.check_fits(gpu, style.size(), "--style-size")?;
        }
        let (width, height) = (job.content.width() as usize, job.content.height() as usize);
        let content = gpu.tensor([3, height, width], job.content.rgb())?;
        let mut styles = Vec::new();
        for (style, weight) in job.styles {
            let shape = [3, style.height() as usize, style.width() as usize];
            styles.push((gpu.tensor(shape, style.rgb())?, *weight));
        }
        let lap = Instant::now();
        let targets = Targets::measure(gpu, graph, &job.loss, &content, &styles).await?;
        let target_seconds = lap.elapsed().as_secs_f64();
        drop(styles);
        // The content tensor has served; the picture takes its place.
        let picture = content;
        let carried = match &job.start {
            Start::Carried(carried) => Some(carried),
            _ => None,
        };
        let (steps, seconds_before) = carried.map_or((0, 0.0), |c| (c.steps, c.seconds));
        let moments = carried.and_then(|c| c.moments.as_ref());
        let moments = moments.map(|moments| moments.resized(job.content.size()));
        let before = (steps, moments.as_ref());
        let numbers = job.start.rgb(job.content);
        let optimizer = Optimizer::new(gpu, &job.descent, &picture, &numbers, before)?;
        let ring = Ring::new(gpu, steps)?;
        let mut tape = Tape::new(gpu);
        let x = tape.variable(&picture);
        let losses = targets.record(&mut tape, graph, &job.loss, x)?;
        ring.record(&mut tape, &losses, optimizer.clock())?;
        let gradients = tape.backward(losses.total)?;
        let gradient = tape.gradient(&gradients, x).ok_or(Error::Usage(NOTHING_TO_DO.into()))?;
        let gradient = tape.value(gradient).clone();
        let loss = tape.value(losses.total).clone();
        optimizer.record(tape.recorder(), &gradient, &loss)?;
        let program = tape.finish()?;
        let of = job.content;
        let frame = (of.size(), of.alpha().map(<[f32]>::to_vec), of.depth());
        let (gpu, began) = (gpu.clone(), None);
        Ok(Painter {
            gpu,
            program,
            frame,
            optimizer,
            ring,
            flat: job.descent.flat.map(Flat::new),
            target_seconds,
            steps,
            seconds_before,
            began,
        })
    }

    /// What a step costs.
    pub fn plan(&self) -> &Plan {
        self.program.plan()
    }

    /// How long the targets took: the network's features of the content and of every style.
    pub fn target_seconds(&self) -> f64 {
        self.target_seconds
    }

    /// Steps taken, those before what was carried over included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether the loss is flat; where the job says so, no more steps are taken then.
    pub fn is_flat(&self) -> bool {
        self.flat.as_ref().is_some_and(Flat::reached)
    }

    /// Takes up to `steps` steps and tells `watch` about them; `save_every` so many, it gets the
    /// picture too.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no finite number any more, and whatever the driver
    /// reported.
    pub async fn paint(
        &mut self,
        steps: u64,
        save_every: Option<u64>,
        watch: &mut dyn FnMut(Event<'_>) -> Verdict,
    ) -> Result<()> {
        self.began.get_or_insert_with(Instant::now);
        let (mut ahead, mut long, before) = (None, true, self.steps);
        for step in 1..=steps {
            if watch(Event::Steps(self.steps)) == Verdict::Stop {
                break;
            }
            let lap = Instant::now();
            let submitted = self.program.submit();
            if let Some(ahead) = ahead.replace(submitted) {
                self.finish_step(ahead).await?;
            }
            let saves = step < steps && save_every.is_some_and(|n| (before + step) % n == 0);
            let looks = self.flat.is_some() && (before + step) % FLAT_EVERY == 0;
            if (long || saves || looks)
                && let Some(ahead) = ahead.take()
            {
                self.finish_step(ahead).await?;
            }
            long = lap.elapsed().as_secs_f64() > LONG_STEP_SECONDS;
            let rows = self.ring.rows(&self.gpu, looks).await?;
            if self.tell(&rows, watch)? == Verdict::Stop || (looks && self.is_flat()) {
                break;
            }
            if saves {
                let picture = self.picture().await?;
                if watch(Event::Picture(self.steps, picture)) == Verdict::Stop {
                    break;
                }
            }
        }
        if let Some(ahead) = ahead {
            self.finish_step(ahead).await?;
        }
        let rows = self.ring.rows(&self.gpu, true).await?;
        watch(Event::Steps(self.steps));
        self.tell(&rows, watch).map(drop)
    }

    /// Hands out losses, and stops where there is nothing left to descend.
    fn tell(
        &mut self,
        rows: &[LossRow],
        watch: &mut dyn FnMut(Event<'_>) -> Verdict,
    ) -> Result<Verdict> {
        if let Some(flat) = &mut self.flat {
            rows.iter().for_each(|row| flat.push(row.total));
        }
        let verdict = if rows.is_empty() { Verdict::Continue } else { watch(Event::Losses(rows)) };
        match rows.iter().find(|row| !row.total.is_finite()) {
            None => Ok(verdict),
            Some(row) => Err(Error::Diverged(format!(
                "the loss is no finite number any more at step {}: take smaller weights or a smaller \
                 step size (--lr)",
                row.step
            ))),
        }
    }

    async fn finish_step(&mut self, submission: wgpu::SubmissionIndex) -> Result<()> {
        self.gpu.finished(submission).await?;
        self.count_step();
        Ok(())
    }

    fn count_step(&mut self) {
        self.steps += 1;
        let seconds = self.seconds();
        self.ring.step_done(seconds);
    }

    /// Seconds since the first step began, with those before what was carried over.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.began.map_or(0.0, |began| began.elapsed().as_secs_f64())
    }

    /// Everything that a painter of another size needs to go on. The picture's alpha stays behind.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn carried(&self) -> Result<Carried> {
        let (size, _, depth) = self.frame.clone();
        let rgb = self.gpu.read(self.optimizer.result()).await?;
        let picture = Picture::from_planes(size, rgb, None, depth)?;
        let moments = self.optimizer.moments(&self.gpu, size, self.steps).await?;
        Ok(Carried { picture, steps: self.steps, moments, seconds: self.seconds() })
    }

    /// The picture as it stands, with the content's alpha and depth.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn picture(&self) -> Result<Picture> {
        let (size, alpha, depth) = self.frame.clone();
        Picture::from_planes(size, self.gpu.read(self.optimizer.result()).await?, alpha, depth)
    }

    /// GPU time of every dispatch of one step, which is taken as well.
    ///
    /// # Errors
    /// As [`Program::profile`].
    pub async fn profile(&mut self) -> Result<Vec<Timing>> {
        self.began.get_or_insert_with(Instant::now);
        let timings = self.program.profile().await?;
        self.count_step();
        Ok(timings)
    }
}

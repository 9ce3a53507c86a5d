//! A painter whose picture lies on the GPU: a program recorded once, replayed until the picture is done.

use crate::loss::targets::{Styles, Targets, nothing_to_move};
use crate::paint::course::{Course, Frame, Watch};
use crate::paint::descent::Descent;
use crate::paint::handover;
use crate::paint::painter::{Event, Job, Verdict};
use crate::paint::ring::Ring;
use crate::paint::start::Carried;
use crate::tape::loss_scale;
use web_time::Instant;

use crate::error::Result;
use crate::gpu::{Gpu, Program, Submission, Timing};
use crate::nets::Graph;
use crate::optim::{Method, Optimizer, Variable};
use crate::tape::Tape;

/// Steps that take longer than this are waited for one by one, so that an interruption never waits
/// for two; shorter ones overlap with the host's work.
const LONG_STEP_SECONDS: f64 = 0.1;

pub(crate) struct Whole {
    gpu: Gpu,
    pub program: Program,
    pub optimizer: Optimizer,
    ring: Ring,
}

impl Whole {
    /// Measures the targets and records the step; also gives the seconds that the targets took.
    pub async fn new(
        gpu: &Gpu,
        graph: &Graph,
        job: &Job<'_>,
        carried: Option<&Carried>,
    ) -> Result<(Self, f64)> {
        let (width, height) = (job.content.width() as usize, job.content.height() as usize);
        let content = gpu.tensor([3, height, width], job.content.rgb())?;
        let lap = Instant::now();
        let tile = job.layout.style_tile;
        let styles = Styles { pictures: job.styles, regions: job.regions, tile };
        let targets = Targets::measure(gpu, graph, &job.loss, &content, &styles).await?;
        let target_seconds = lap.elapsed().as_secs_f64();
        // The content tensor has served; the picture takes its place.
        let picture = content;
        let numbers = job.start.rgb(job.content, job.loss.strength);
        let descent = job.descent();
        let descent = match (descent.method, job.layout.history) {
            (Method::Lbfgs { history }, Some(most)) => {
                Descent { method: Method::Lbfgs { history: history.min(most) }, ..descent }
            }
            _ => descent,
        };
        let before = |carried| handover::state(carried, job.content.size(), descent.method);
        let before = carried.map(before).transpose()?;
        let variable = Variable { name: "", tensor: &picture, start: &numbers };
        let settings = descent.optimizer();
        let optimizer = Optimizer::new(gpu, &settings, &[variable], before.as_deref())?;
        let ring = Ring::new(gpu, carried.map_or(0, |carried| carried.state.steps))?;
        let mut tape = Tape::new(gpu);
        let x = tape.variable(&picture);
        let losses = targets.record(&mut tape, graph, &job.loss, x)?;
        ring.record(&mut tape, &losses, optimizer.clock())?;
        let gradient = loss_scale::gradient(&mut tape, losses.total, x, graph.precision())?;
        let gradient = gradient.ok_or_else(nothing_to_move)?;
        let gradient = tape.value(gradient).clone();
        let loss = tape.value(losses.total).clone();
        optimizer.record(tape.recorder(), &[gradient], &loss)?;
        let program = tape.finish()?;
        Ok((Whole { gpu: gpu.clone(), program, optimizer, ring }, target_seconds))
    }

    /// The result's colours.
    pub async fn rgb(&self) -> Result<Vec<f32>> {
        self.gpu.read(self.optimizer.result(0)).await
    }

    pub async fn paint(
        &mut self,
        steps: u64,
        save_every: Option<u64>,
        (course, frame): (&mut Course, &Frame),
        watch: Watch<'_>,
    ) -> Result<()> {
        let (mut ahead, mut long, before) = (None, true, course.steps);
        for step in 1..=steps {
            if watch(Event::Steps(course.steps)) == Verdict::Stop {
                break;
            }
            let lap = Instant::now();
            let submitted = self.program.submit();
            if let Some(ahead) = ahead.replace(submitted) {
                self.finish_step(ahead, course).await?;
            }
            let saves = step < steps && save_every.is_some_and(|n| (before + step) % n == 0);
            let looks = course.looks(before + step);
            if (long || saves || looks)
                && let Some(ahead) = ahead.take()
            {
                self.finish_step(ahead, course).await?;
            }
            long = lap.elapsed().as_secs_f64() > LONG_STEP_SECONDS;
            let rows = self.ring.rows(&self.gpu, looks).await?;
            if course.tell(&rows, watch)? == Verdict::Stop || (looks && course.is_flat()) {
                break;
            }
            if saves {
                let picture = frame.picture(self.rgb().await?)?;
                if watch(Event::Picture(course.steps, picture)) == Verdict::Stop {
                    break;
                }
            }
        }
        if let Some(ahead) = ahead {
            self.finish_step(ahead, course).await?;
        }
        let rows = self.ring.rows(&self.gpu, true).await?;
        watch(Event::Steps(course.steps));
        course.tell(&rows, watch).map(drop)
    }

    async fn finish_step(&mut self, submission: Submission, course: &mut Course) -> Result<()> {
        self.gpu.finished(submission).await?;
        self.count_step(course);
        Ok(())
    }

    fn count_step(&mut self, course: &mut Course) {
        course.steps += 1;
        self.ring.step_done(course.seconds());
    }

    pub async fn profile(&mut self, course: &mut Course) -> Result<Vec<Timing>> {
        let timings = self.program.profile().await?;
        self.count_step(course);
        Ok(timings)
    }
}

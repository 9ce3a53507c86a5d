//! A picture on the GPU: a program recorded once, replayed until the picture is done.

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Program, Submission, Tensor, Timing};
use crate::loss::settings::nothing_to_move;
use crate::loss::{Aim, LossSettings, StyleTargets, Targets};
use crate::nets::Graph;
use crate::optim::{Optimizer, State, Variable};
use crate::paint::course::{Course, Frame};
use crate::paint::descent::Descent;
use crate::paint::event::{Event, Verdict, Watch};
use crate::paint::ring::Ring;
use crate::tape::{Tape, loss_scale};

/// Steps that take longer than this are waited for one by one, so that an interruption never waits
/// for two; shorter ones overlap with the host's work.
const LONG_STEP_SECONDS: f64 = 0.1;

pub(crate) struct OnGpu {
    gpu: Gpu,
    picture: Tensor,
    targets: Targets,
    pub optimizer: Optimizer,
    ring: Ring,
    plan: Plan,
    /// Nothing after a failed [`OnGpu::retarget`].
    program: Option<Program>,
}

impl OnGpu {
    /// Measures the content and records the step of a picture that starts from `start`, or goes on from `before`; also
    /// gives the seconds that measuring took.
    pub async fn new(
        gpu: &Gpu,
        graph: &Graph,
        (aim, style): (&Aim<'_>, StyleTargets),
        descent: &Descent,
        (start, before): (&[f32], Option<&State>),
    ) -> Result<(Self, f64)> {
        let lap = Instant::now();
        let content = aim.content.upload(gpu)?;
        let targets = Targets::measure(gpu, graph, aim, (&content, style)).await?;
        let seconds = lap.elapsed().as_secs_f64();
        // The content tensor has served; the picture takes its place.
        let picture = content;
        let variable = Variable { name: "", tensor: &picture, start };
        let optimizer = Optimizer::new(gpu, &descent.optimizer(), &[variable], before)?;
        let ring = Ring::new(gpu, before.map_or(0, |state| state.steps))?;
        let (on, by) = ((&picture, &targets), (&optimizer, &ring));
        let program = Self::record(gpu, graph, aim.loss, on, by)?;
        let (gpu, plan, program) = (gpu.clone(), program.plan().clone(), Some(program));
        Ok((OnGpu { gpu, picture, targets, optimizer, ring, plan, program }, seconds))
    }

    fn record(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        (picture, targets): (&Tensor, &Targets),
        (optimizer, ring): (&Optimizer, &Ring),
    ) -> Result<Program> {
        let mut tape = Tape::new(gpu);
        let x = tape.variable(picture);
        let losses = targets.record(&mut tape, graph, settings, x)?;
        ring.record(&mut tape, &losses, optimizer.clock())?;
        let gradient = loss_scale::gradient(&mut tape, losses.total, x, graph.precision())?;
        let gradient = gradient.ok_or_else(nothing_to_move)?;
        let gradient = tape.value(gradient).clone();
        let loss = tape.value(losses.total).clone();
        optimizer.record(tape.recorder(), &[gradient], &loss)?;
        tape.finish()
    }

    /// Records the step anew for another aim.
    pub async fn retarget(
        &mut self,
        graph: &Graph,
        (aim, style): (&Aim<'_>, StyleTargets),
        (descent, steps): (&Descent, u64),
    ) -> Result<()> {
        // Its memory first: there may be none for two.
        self.program = None;
        self.targets.retarget(&self.gpu, graph, aim, style)?;
        self.optimizer.retarget(&self.gpu, descent.lr, steps).await?;
        let (on, by) = ((&self.picture, &self.targets), (&self.optimizer, &self.ring));
        let program = Self::record(&self.gpu, graph, aim.loss, on, by)?;
        self.plan = program.plan().clone();
        self.program = Some(program);
        Ok(())
    }

    /// What a step costs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn program(&self) -> Result<&Program> {
        self.program.as_ref().ok_or_else(|| {
            Error::Usage("a change of styles failed, and the step went with it: begin anew".into())
        })
    }

    /// Takes the memory that reading the result and the optimiser's state takes for a while.
    pub fn plan_reading(&self) {
        let result = self.optimizer.result(0);
        let state = self.optimizer.tensors().into_iter().map(|(_, tensor)| tensor);
        state.chain([result]).for_each(|tensor| self.gpu.plan_reading(tensor));
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
            let submitted = self.program()?.submit();
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
        let timings = self.program()?.profile().await?;
        self.count_step(course);
        Ok(timings)
    }
}

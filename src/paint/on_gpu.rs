//! A picture on the GPU: a program recorded once, replayed until the picture is done.

use std::borrow::Cow;

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Program, Submission, Tensor, Timing};
use crate::loss::neighbours::Found;
use crate::loss::settings::nothing_to_move;
use crate::loss::{Aim, LossSettings, StyleTargets, Targets};
use crate::nets::Graph;
use crate::ops::pyramid;
use crate::optim::{Optimizer, State, Variable};
use crate::paint::course::{Course, Frame};
use crate::paint::descent::Descent;
use crate::paint::event::{Event, Verdict, Watch};
use crate::paint::levels::Levels;
use crate::paint::places;
use crate::paint::ring::Ring;
use crate::tape::{Tape, loss_scale};

/// Steps that take longer than this are waited for one by one, so that an interruption never waits
/// for two; shorter ones overlap with the host's work.
const LONG_STEP_SECONDS: f64 = 0.1;

pub(crate) struct OnGpu {
    gpu: Gpu,
    levels: Levels,
    /// What is moved, the levels of the picture.
    variables: Vec<Tensor>,
    targets: Targets,
    /// The neighbours of its places, where these are compared.
    found: Found,
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
        (start, before): (Vec<f32>, Option<&State>),
    ) -> Result<(Self, f64)> {
        let lap = Instant::now();
        let levels = Levels::new(aim.loss, aim.content.size);
        let (on, from) = ((gpu, graph), (&levels, start.as_slice(), before));
        let found = places::found(on, (aim, &style), from, None).await?;
        let content = aim.content.upload(gpu)?;
        let targets = Targets::measure(gpu, graph, aim, (&content, style)).await?;
        if !gpu.is_dry() {
            targets.set_found(gpu, &found)?;
        }
        let seconds = lap.elapsed().as_secs_f64();
        // The content tensor has served; the picture, or its first level, takes its place.
        let mut variables = vec![content];
        for shape in levels.shapes().skip(1) {
            variables.push(gpu.zeros(shape)?);
        }
        let before = before.map(|before| places::handed(Cow::Borrowed(before), &found));
        let before = before.as_deref();
        let starts = levels.starts(&start, before);
        let all = levels.names().iter().zip(&variables).zip(&starts);
        let all = all.map(|((name, tensor), start)| Variable { name, tensor, start });
        let settings = levels.optimizer(descent);
        let optimizer = Optimizer::new(gpu, &settings, &all.collect::<Vec<_>>(), before)?;
        let ring = Ring::new(gpu, before.map_or(0, |state| state.steps))?;
        let (on, by) = ((&variables[..], &targets), (&optimizer, &ring));
        let program = Self::record(gpu, graph, aim.loss, on, by)?;
        let (gpu, plan, program) = (gpu.clone(), program.plan().clone(), Some(program));
        let canvas =
            OnGpu { gpu, levels, variables, targets, found, optimizer, ring, plan, program };
        Ok((canvas, seconds))
    }

    fn record(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        (variables, targets): (&[Tensor], &Targets),
        (optimizer, ring): (&Optimizer, &Ring),
    ) -> Result<Program> {
        let mut tape = Tape::new(gpu);
        let vars: Vec<_> = variables.iter().map(|tensor| tape.variable(tensor)).collect();
        let x = pyramid::synthesis(&mut tape, &vars)?;
        let losses = targets.record(&mut tape, graph, settings, x)?;
        ring.record(&mut tape, &losses, optimizer.clock())?;
        let gradients = loss_scale::gradients(&mut tape, losses.total, &vars, graph.precision())?;
        let gradients = gradients.ok_or_else(nothing_to_move)?;
        let gradients: Vec<_> = gradients.into_iter().map(|g| tape.value(g).clone()).collect();
        let loss = tape.value(losses.total).clone();
        optimizer.record(tape.recorder(), &gradients, &loss)?;
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
        if style.places.is_some() {
            let (picture, on) = (self.rgb().await?, (&self.gpu, graph));
            let from = (&self.levels, picture.as_slice(), None);
            self.found = places::found(on, (aim, &style), from, None).await?;
            for (variable, level) in self.variables.iter().zip(self.levels.split(&picture)) {
                self.gpu.write(variable, &level)?;
            }
        }
        self.targets.retarget(&self.gpu, graph, aim, style)?;
        self.targets.set_found(&self.gpu, &self.found)?;
        self.optimizer.retarget(&self.gpu, descent.lr, steps).await?;
        let on = (&self.variables[..], &self.targets);
        let by = (&self.optimizer, &self.ring);
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
        let results = (0..self.variables.len()).map(|level| self.optimizer.result(level));
        let state = self.optimizer.tensors().into_iter().map(|(_, tensor)| tensor);
        state.chain(results).for_each(|tensor| self.gpu.plan_reading(tensor));
    }

    /// The result's colours.
    pub async fn rgb(&self) -> Result<Vec<f32>> {
        if !self.levels.are_many() {
            return self.gpu.read(self.optimizer.result(0)).await;
        }
        let mut levels = Vec::new();
        for level in 0..self.variables.len() {
            levels.push(self.gpu.read(self.optimizer.result(level)).await?);
        }
        let levels: Vec<_> = levels.iter().map(Vec::as_slice).collect();
        Ok(places::result(self.levels.join(&levels), self.targets.places()))
    }

    /// What the next painter goes on from.
    pub async fn state(&self, steps: u64) -> Result<State> {
        let mut state = self.optimizer.state(&self.gpu, steps).await?;
        let mut levels = Vec::new();
        if self.levels.are_many() {
            for (name, level) in self.levels.kept_names().zip(&self.variables) {
                levels.push((name, self.gpu.read(level).await?));
            }
        }
        places::keep(&mut state, &self.found, levels);
        Ok(state)
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

//! What moves numbers to a smaller loss: optimisers as dispatches at the end of a step, and the average of where they
//! have been.
//!
//! An [`Optimizer`] moves a list of tensors together, one picture or all weights of a network: one clock, one rate, one
//! loss. The rate is a tensor ([`Optimizer::rate`]), so a schedule rewrites a number between replays and nothing is
//! recorded again. In a batch, whose replays add to the gradients, the optimiser is recorded for the last replay
//! ([`Program::submit_in_batch`](crate::gpu::Program::submit_in_batch)).

pub mod adam;
pub mod average;
pub mod lbfgs;
pub mod state;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor, Value};
use crate::optim::state::name_of;
use crate::shape::Shape;
pub use adam::{Adam, Betas};
pub use average::Average;
pub use lbfgs::Lbfgs;
pub use state::State;

/// How numbers are moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    /// The optimiser.
    pub method: Method,
    /// About how far a number moves in a step: Adam's step size, and the root mean square of L-BFGS's first trial.
    /// [`Optimizer::rate`] begins with it.
    pub rate: f32,
    /// Where numbers may go, from least to most: a picture's lie in 0..1, weights anywhere.
    pub bounds: Option<(f32, f32)>,
    /// Whether the result is the average of the iterates.
    pub average: bool,
}

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// See [`Adam`].
    Adam(Betas),
    /// See [`Lbfgs`].
    Lbfgs {
        /// Pairs of vectors that it remembers, at least 1.
        history: usize,
    },
}

impl Method {
    /// Adam for pictures.
    pub const ADAM: Method = Method::Adam(Betas::PICTURE);
}

impl OptimizerSettings {
    /// Adam for weights, with that step size: no bounds.
    pub fn adam(rate: f32) -> Self {
        let method = Method::Adam(Betas::WEIGHTS);
        OptimizerSettings { method, rate, bounds: None, average: false }
    }

    /// Bytes on the GPU for tensors of those shapes, beside what a step's [`Plan`](crate::gpu::Plan) counts.
    pub fn bytes(&self, shapes: &[Shape]) -> u64 {
        const RATE: u64 = 4;
        let average = if self.average { Average::bytes(shapes) } else { 0 };
        RATE + average
            + match self.method {
                Method::Adam(_) => Adam::bytes(shapes),
                Method::Lbfgs { history } => Lbfgs::bytes(shapes, history),
            }
    }
}

/// A tensor to be moved.
#[derive(Clone, Copy)]
pub struct Variable<'a> {
    /// Under this name its part of a [`State`] is saved. One tensor alone needs none: `""`.
    pub name: &'a str,
    /// Its numbers, f32.
    pub tensor: &'a Tensor,
    /// What it starts from.
    pub start: &'a [f32],
}

/// An optimiser at work on a list of tensors.
pub struct Optimizer {
    names: Vec<String>,
    tensors: Vec<Tensor>,
    rate: Tensor,
    bounds: [f32; 2],
    running: Running,
    average: Option<Average>,
}

enum Running {
    Adam(Adam),
    Lbfgs(Lbfgs),
}

/// What a method needs to record a step.
struct Step<'a> {
    recorder: &'a mut Recorder,
    tensors: &'a [Tensor],
    gradients: &'a [Value],
    rate: &'a Tensor,
    bounds: [f32; 2],
}

fn wrong(what: String) -> Error {
    Error::Shape { op: "optimiser", what }
}

impl Optimizer {
    /// The name in a [`State`] of what is moved.
    pub(crate) const X: &str = "x";

    /// Before its first step on `variables`, which get their first numbers; or goes on from a state, bit for bit where
    /// that has everything. Otherwise it takes what it can: Adam its means of gradients, or only the number of steps
    /// where there are none. L-BFGS, also with a history of another length, and the average start afresh.
    ///
    /// # Errors
    /// [`Error::Memory`] when the state is too large for the adapter, [`Error::Shape`] when there are no variables, two of
    /// one name, or counts of numbers do not fit, and whatever the driver reported.
    pub fn new(
        gpu: &Gpu,
        settings: &OptimizerSettings,
        variables: &[Variable<'_>],
        state: Option<&State>,
    ) -> Result<Self> {
        let names: BTreeSet<&str> = variables.iter().map(|variable| variable.name).collect();
        if names.is_empty() || names.len() < variables.len() {
            return Err(wrong("takes at least one variable, each with a name of its own".into()));
        }
        for variable in variables {
            gpu.write(variable.tensor, variable.start)?;
        }
        let shapes: Vec<Shape> = variables.iter().map(|v| v.tensor.shape().clone()).collect();
        let running = match settings.method {
            Method::Adam(betas) => Running::Adam(Adam::new(gpu, &shapes, betas)?),
            Method::Lbfgs { history } => Running::Lbfgs(Lbfgs::new(gpu, &shapes, history)?),
        };
        let average = if settings.average { Some(Average::new(gpu, &shapes)?) } else { None };
        // WGSL knows no infinity.
        let (low, high) = settings.bounds.unwrap_or((f32::MIN, f32::MAX));
        let optimizer = Optimizer {
            names: variables.iter().map(|variable| variable.name.to_string()).collect(),
            tensors: variables.iter().map(|variable| variable.tensor.clone()).collect(),
            rate: gpu.tensor(Shape::scalar(), &[settings.rate])?,
            bounds: [low, high],
            running,
            average,
        };
        optimizer.begin(gpu, variables, state)?;
        Ok(optimizer)
    }

    fn begin(&self, gpu: &Gpu, variables: &[Variable<'_>], state: Option<&State>) -> Result<()> {
        let fits = |state: &&State| {
            let known = self.tensors();
            known.iter().all(|(name, tensor)| state.has(name, tensor.shape().elements()))
        };
        if let Some(state) = state.filter(fits) {
            let own = self.tensors().into_iter();
            return own.map(|(name, tensor)| gpu.write(tensor, state.tensor(&name)?)).collect();
        }
        let starts = || variables.iter().map(|variable| variable.start);
        match (&self.running, state) {
            (Running::Adam(_), None) => {}
            (Running::Adam(adam), Some(state)) => adam.start(gpu, &self.names, state)?,
            (Running::Lbfgs(lbfgs), state) => {
                lbfgs.start(gpu, starts(), state.map_or(0, |state| state.steps))?;
            }
        }
        self.average.as_ref().map_or(Ok(()), |average| average.start(gpu, starts()))
    }

    /// Everything that it knows, by name; what it moves too where the result is another tensor.
    pub(crate) fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut tensors = match &self.running {
            Running::Adam(adam) => adam.tensors(&self.names),
            Running::Lbfgs(lbfgs) => lbfgs.tensors(&self.names),
        };
        if let Some(average) = &self.average {
            tensors.extend(average.tensors(&self.names));
        }
        if self.average.is_some() || matches!(self.running, Running::Lbfgs(_)) {
            let own = self.names.iter().zip(&self.tensors);
            tensors.extend(own.map(|(name, x)| (name_of(Self::X, name), x)));
        }
        tensors
    }

    /// A tensor whose first number counts the steps taken.
    pub fn clock(&self) -> &Tensor {
        match &self.running {
            Running::Adam(adam) => adam.clock(),
            Running::Lbfgs(lbfgs) => lbfgs.clock(),
        }
    }

    /// The rate, a scalar: write another between two replays, and the next step is as long as that. L-BFGS looks at it
    /// where it knows no pairs: at its first step, and when it has forgotten its history. It is not part of the
    /// [`State`]: who goes on sets it again.
    pub fn rate(&self) -> &Tensor {
        &self.rate
    }

    /// Records a step from the `loss` where the variables are now and its gradients, in the order of the variables.
    ///
    /// # Errors
    /// [`Error::Shape`] when the gradients are not those of the variables; otherwise as [`Recorder::kernel`].
    pub fn record(&self, recorder: &mut Recorder, gradients: &[Value], loss: &Value) -> Result<()> {
        let of: Vec<usize> = gradients.iter().map(|g| g.shape().elements()).collect();
        let own: Vec<usize> = self.tensors.iter().map(|x| x.shape().elements()).collect();
        if of != own {
            return Err(wrong(format!("gradients of {of:?} numbers for variables of {own:?}")));
        }
        recorder.scope = "optimiser".into();
        let (tensors, rate, bounds) = (&self.tensors[..], &self.rate, self.bounds);
        let step = Step { recorder: &mut *recorder, tensors, gradients, rate, bounds };
        match &self.running {
            Running::Adam(adam) => adam.record(step)?,
            Running::Lbfgs(lbfgs) => lbfgs.record(step, loss)?,
        }
        let Some(average) = &self.average else { return Ok(()) };
        let iterates: Vec<&Tensor> = (0..tensors.len()).map(|at| self.iterate(at)).collect();
        average.record(recorder, &iterates)
    }

    /// From now on the loss is another one, and the rate. Adam goes on; L-BFGS, whose pairs and whose best loss mean nothing
    /// any more, starts afresh from its best point after `steps` steps.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub(crate) async fn retarget(&self, gpu: &Gpu, rate: f32, steps: u64) -> Result<()> {
        gpu.write(&self.rate, &[rate])?;
        let Running::Lbfgs(lbfgs) = &self.running else { return Ok(()) };
        let mut best = Vec::new();
        for (at, x) in self.tensors.iter().enumerate() {
            best.push(gpu.read(lbfgs.best(at)).await?);
            gpu.write(x, &best[at])?;
        }
        lbfgs.start(gpu, best.iter().map(Vec::as_slice), steps)
    }

    /// Where the steps have led: x or, with L-BFGS, the best of its trials.
    fn iterate(&self, at: usize) -> &Tensor {
        match &self.running {
            Running::Adam(_) => &self.tensors[at],
            Running::Lbfgs(lbfgs) => lbfgs.best(at),
        }
    }

    /// The result as it stands for the variable `at` in the list.
    pub fn result(&self, at: usize) -> &Tensor {
        self.average.as_ref().map_or_else(|| self.iterate(at), |average| average.tensor(at))
    }

    /// The state after `steps` steps.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn state(&self, gpu: &Gpu, steps: u64) -> Result<State> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.tensors() {
            tensors.insert(name, gpu.read(tensor).await?);
        }
        Ok(State { steps, tensors })
    }
}

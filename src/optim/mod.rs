//! What moves the picture: optimisers as dispatches at the end of a step, and the average of where it has been.

pub mod adam;
pub mod average;
pub mod lbfgs;
pub mod state;

use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Tensor, Value};
use crate::shape::Shape;
pub use adam::Adam;
pub use average::Average;
pub use lbfgs::Lbfgs;
pub use state::State;

/// How a picture is moved to a smaller loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// The optimiser.
    pub method: Method,
    /// About how far a number of the picture, which lies in 0..1, moves in a step: Adam's step size, and the root
    /// mean square of L-BFGS's first trial.
    pub lr: f32,
    /// Whether the result is the average of the iterates.
    pub average: bool,
    /// Ends where the loss has become flat, by this share: see [`Flat`](crate::paint::Flat).
    pub flat: Option<f32>,
    /// Adam's step size where the picture is painted in tiles and the method needs all of it: Adam takes its place
    /// there. Without, such a picture is an error.
    pub in_tiles: Option<f32>,
}

/// L-BFGS, and Adam in tiles.
impl Default for Descent {
    fn default() -> Self {
        let method = Method::Lbfgs { history: Lbfgs::HISTORY };
        let in_tiles = Some(Adam::LR);
        Descent { method, lr: Lbfgs::LR, average: false, flat: None, in_tiles }
    }
}

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// See [`Adam`].
    Adam,
    /// See [`Lbfgs`].
    Lbfgs {
        /// Pairs of vectors that it remembers, at least 1.
        history: usize,
    },
}

impl Descent {
    /// Adam with that step size, all its steps.
    pub fn adam(lr: f32) -> Self {
        Descent { method: Method::Adam, lr, in_tiles: None, ..Descent::default() }
    }

    /// Whether every number of a picture is moved for itself, so that it can be moved piece by piece.
    pub fn is_by_pieces(&self) -> bool {
        self.method == Method::Adam
    }

    /// How a picture is moved that is painted in tiles; `None` where it can't be.
    pub fn by_pieces(&self) -> Option<Self> {
        let adam = |lr| Descent { method: Method::Adam, lr, ..*self };
        if self.is_by_pieces() { Some(*self) } else { self.in_tiles.map(adam) }
    }

    /// Bytes on the GPU for a tensor of that shape, beside what a step's [`Plan`](crate::gpu::Plan) counts.
    pub fn bytes(&self, shape: &Shape) -> u64 {
        let average = if self.average { Average::bytes(shape) } else { 0 };
        average
            + match self.method {
                Method::Adam => Adam::bytes(shape),
                Method::Lbfgs { history } => Lbfgs::bytes(shape, history),
            }
    }
}

/// An optimiser at work on one tensor.
pub struct Optimizer {
    x: Tensor,
    running: Running,
    average: Option<Average>,
}

enum Running {
    Adam(Adam),
    Lbfgs(Lbfgs),
}

impl Optimizer {
    /// Before its first step on `x`, a picture of `size`: starts from `numbers`, or goes on from a state. At the state's
    /// own size it goes on bit for bit; at another, Adam's moments are resized, and L-BFGS, whose pairs mean nothing
    /// there, and the average start afresh from `numbers`. So does L-BFGS with a history of another length.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when the state is too large for the adapter,
    /// [`Error::Shape`](crate::Error::Shape) when it is another optimiser's, and whatever the driver reported.
    pub fn new(
        gpu: &Gpu,
        descent: &Descent,
        x: &Tensor,
        numbers: &[f32],
        (size, state): ((u32, u32), Option<&State>),
    ) -> Result<Self> {
        let shape = x.shape();
        gpu.write(x, numbers)?;
        let running = match descent.method {
            Method::Adam => Running::Adam(Adam::new(gpu, shape, descent.lr)?),
            Method::Lbfgs { history } => {
                Running::Lbfgs(Lbfgs::new(gpu, shape, descent.lr, history)?)
            }
        };
        let average = if descent.average { Some(Average::new(gpu, shape)?) } else { None };
        let optimizer = Optimizer { x: x.clone(), running, average };
        let fits = |state: &&State| {
            let of = |(name, tensor): &(String, &Tensor)| {
                let own = state.tensors.get(name).map(Vec::len);
                own == Some(tensor.shape().elements())
            };
            state.size == size && optimizer.tensors().iter().all(of)
        };
        if let Some(state) = state.filter(fits) {
            for (name, tensor) in optimizer.tensors() {
                gpu.write(tensor, state.tensor(&name)?)?;
            }
            return Ok(optimizer);
        }
        match (&optimizer.running, state) {
            (Running::Adam(_), None) => {}
            (Running::Adam(adam), Some(state)) => adam.resize(gpu, state, size)?,
            (Running::Lbfgs(lbfgs), state) => {
                lbfgs.start(gpu, numbers, state.map_or(0, |state| state.steps))?;
            }
        }
        if let Some(average) = &optimizer.average {
            average.start(gpu, numbers)?;
        }
        Ok(optimizer)
    }

    /// Everything that it knows, by name; the picture itself where the result is another tensor.
    pub(crate) fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut tensors = match &self.running {
            Running::Adam(adam) => adam.tensors().map(|(name, t)| (name.to_string(), t)).to_vec(),
            Running::Lbfgs(lbfgs) => lbfgs.tensors(),
        };
        if let Some(average) = &self.average {
            tensors.extend(average.tensors().map(|(name, t)| (name.to_string(), t)));
        }
        if self.average.is_some() || matches!(self.running, Running::Lbfgs(_)) {
            tensors.push(("x".into(), &self.x));
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

    /// Records a step from the `loss` at x and its `gradient`.
    ///
    /// # Errors
    /// As [`Recorder::kernel`].
    pub fn record(&self, recorder: &mut Recorder, gradient: &Value, loss: &Value) -> Result<()> {
        match &self.running {
            Running::Adam(adam) => adam.record(recorder, &self.x, gradient)?,
            Running::Lbfgs(lbfgs) => lbfgs.record(recorder, &self.x, gradient, loss)?,
        }
        match &self.average {
            Some(average) => average.record(recorder, self.iterate()),
            None => Ok(()),
        }
    }

    /// Takes steps of another size from the next recording on.
    pub(crate) fn set_rate(&mut self, lr: f32) {
        match &mut self.running {
            Running::Adam(adam) => adam.lr = lr,
            Running::Lbfgs(lbfgs) => lbfgs.lr = lr,
        }
    }

    /// From the next recording on the loss is another one, and the step size `lr`. Adam goes on; L-BFGS, whose pairs and
    /// whose best loss mean nothing any more, starts afresh from its best point after `steps` steps.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub(crate) async fn retarget(&mut self, gpu: &Gpu, lr: f32, steps: u64) -> Result<()> {
        self.set_rate(lr);
        if let Running::Lbfgs(lbfgs) = &self.running {
            let best = gpu.read(lbfgs.best()).await?;
            gpu.write(&self.x, &best)?;
            lbfgs.start(gpu, &best, steps)?;
        }
        Ok(())
    }

    /// Where the steps have led: x or, with L-BFGS, the best of its trials.
    fn iterate(&self) -> &Tensor {
        match &self.running {
            Running::Adam(_) => &self.x,
            Running::Lbfgs(lbfgs) => lbfgs.best(),
        }
    }

    /// The result as it stands.
    pub fn result(&self) -> &Tensor {
        self.average.as_ref().map_or_else(|| self.iterate(), Average::tensor)
    }

    /// The state for a picture of `size` after `steps` steps.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn state(&self, gpu: &Gpu, size: (u32, u32), steps: u64) -> Result<State> {
        let mut tensors = std::collections::BTreeMap::new();
        for (name, tensor) in self.tensors() {
            tensors.insert(name, gpu.read(tensor).await?);
        }
        Ok(State { steps, size, tensors })
    }
}

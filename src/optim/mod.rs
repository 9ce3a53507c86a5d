//! What moves the picture: optimisers as dispatches at the end of a step, and the average of where it has been.

pub mod adam;
pub mod average;
pub mod lbfgs;

use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Value};
use crate::tensor::{Shape, Tensor};
pub use adam::{Adam, Moments};
pub use average::Average;
pub use lbfgs::Lbfgs;

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
    /// Ends where the loss has become flat, by this share: see [`Flat`](crate::transfer::Flat).
    pub flat: Option<f32>,
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
        Descent { method: Method::Adam, lr, average: false, flat: None }
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
    /// Before its first step: starts from these numbers of `x`, after `steps` steps at other sizes and with the
    /// moments of those, if there are any.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when the state is too large for the adapter, and whatever the driver
    /// reported.
    pub fn new(
        gpu: &Gpu,
        descent: &Descent,
        x: &Tensor,
        numbers: &[f32],
        (steps, moments): (u64, Option<&Moments>),
    ) -> Result<Self> {
        let shape = x.shape();
        gpu.write(x, numbers)?;
        let running = match descent.method {
            Method::Adam => {
                let adam = Adam::new(gpu, shape, descent.lr)?;
                match moments {
                    Some(moments) => adam.restore(gpu, moments)?,
                    None => adam.start(gpu, steps)?,
                }
                Running::Adam(adam)
            }
            Method::Lbfgs { history } => {
                let lbfgs = Lbfgs::new(gpu, shape, descent.lr, history)?;
                lbfgs.start(gpu, numbers, steps)?;
                Running::Lbfgs(lbfgs)
            }
        };
        let average = if descent.average { Some(Average::new(gpu, shape)?) } else { None };
        if let Some(average) = &average {
            average.start(gpu, numbers)?;
        }
        Ok(Optimizer { x: x.clone(), running, average })
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

    /// What can go on at another size, after `steps` steps: Adam's moments. L-BFGS's pairs mean nothing there.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn moments(
        &self,
        gpu: &Gpu,
        size: (u32, u32),
        steps: u64,
    ) -> Result<Option<Moments>> {
        match &self.running {
            Running::Adam(adam) => adam.moments(gpu, size, steps).await.map(Some),
            Running::Lbfgs(_) => Ok(None),
        }
    }
}

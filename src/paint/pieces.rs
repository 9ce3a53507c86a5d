//! The optimiser's step for a picture that lives on the host: piece by piece through the same kernels. Only for
//! optimisers that move every number for itself ([`Descent::is_by_pieces`](crate::paint::Descent::is_by_pieces)).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Program, Tensor};
use crate::optim::{Adam, Average, Optimizer, OptimizerSettings, State, Variable};
use crate::shape::Shape;
use crate::tape::Tape;

/// Names in an optimiser's state of the averaged picture and of the picture itself.
const AVERAGE: &str = Average::NAME;
const PICTURE: &str = Optimizer::X;
/// What Adam goes on from.
const OWN: [&str; 3] = [Adam::CLOCK, Adam::MEAN, Adam::SQUARE];

/// A picture and what moves it.
pub(crate) struct Pieces {
    gpu: Gpu,
    optimizer: Optimizer,
    x: Tensor,
    gradient: Tensor,
    program: Program,
    /// What the optimiser knows by name: of every number of the picture, or a clock.
    state: BTreeMap<String, Vec<f32>>,
    picture: Vec<f32>,
}

impl Pieces {
    /// For a picture that starts from `picture` (3×H×W), of which `piece` numbers go to the GPU at a time. `before` is
    /// the state of an optimiser at that size, if there was one: this one's is gone on with; of another's only the steps
    /// count, and the average starts afresh.
    ///
    /// # Errors
    /// [`Error::Memory`] when a piece is too large for the adapter, [`Error::Shape`] when the state is another picture's.
    pub fn new(
        gpu: &Gpu,
        settings: &OptimizerSettings,
        picture: Vec<f32>,
        piece: usize,
        before: Option<Cow<'_, State>>,
    ) -> Result<Self> {
        let (x, gradient) = (gpu.zeros([piece])?, gpu.zeros([piece])?);
        let variable = Variable { name: "", tensor: &x, start: &vec![0.0; piece] };
        let optimizer = Optimizer::new(gpu, settings, &[variable], None)?;
        let mut tape = Tape::new(gpu);
        let loss = (&gpu.zeros(Shape::scalar())?).into();
        optimizer.record(tape.recorder(), &[(&gradient).into()], &loss)?;
        let program = tape.finish()?;
        let count = |tensor: &Tensor| match tensor.shape().elements() {
            own if own == piece => picture.len(),
            own => own,
        };
        let known = optimizer.tensors();
        let counts = || known.iter().map(|(name, own)| (name.as_str(), count(own)));
        // Another optimiser may have come so far, where all of the picture was on the GPU.
        let goes_on = before.as_ref().is_some_and(|b| counts().all(|(name, n)| b.has(name, n)));
        let adams = before.as_ref().is_some_and(|b| b.tensors.contains_key(Adam::MEAN));
        let mut state = BTreeMap::new();
        for (name, count) in counts() {
            let numbers = match &before {
                Some(before) if goes_on || (adams && OWN.contains(&name)) => {
                    before.tensor(name)?.to_vec()
                }
                Some(before) if name == Adam::CLOCK => Adam::clock_after(before.steps).to_vec(),
                _ if name == AVERAGE || name == PICTURE => picture.clone(),
                _ => vec![0.0; count],
            };
            if numbers.len() != count {
                let what = format!("{} numbers of `{name}` instead of {count}", numbers.len());
                return Err(Error::Shape { op: "optimiser", what });
            }
            state.insert(name.to_string(), numbers);
        }
        let picture = state.remove(PICTURE).unwrap_or(picture);
        Ok(Pieces { gpu: gpu.clone(), optimizer, x, gradient, program, state, picture })
    }

    /// The picture at which the gradient is wanted, 3×H×W.
    pub fn picture(&self) -> &[f32] {
        &self.picture
    }

    /// Puts another picture in its place.
    pub fn set_picture(&mut self, picture: Vec<f32>) {
        self.picture = picture;
    }

    /// The result as it stands.
    pub fn result(&self) -> &[f32] {
        self.state.get(AVERAGE).map_or(&self.picture, Vec::as_slice)
    }

    /// What the optimiser knows after `steps` steps.
    pub fn state(&self, steps: u64) -> State {
        let mut tensors = self.state.clone();
        if tensors.contains_key(AVERAGE) {
            tensors.insert(PICTURE.into(), self.picture.clone());
        }
        State { steps, tensors }
    }

    /// From now on the loss is another one, and the step size.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn retarget(&self, lr: f32, steps: u64) -> Result<()> {
        self.optimizer.retarget(&self.gpu, lr, steps).await
    }

    /// Takes the memory that reading a piece takes for a while.
    pub fn plan_reading(&self) {
        self.gpu.plan_reading(&self.x);
    }

    /// Bytes of system memory for what the optimiser knows of so many numbers.
    pub fn host_bytes(&self, numbers: u64) -> u64 {
        let piece = self.x.shape().elements();
        let state = self.optimizer.tensors().into_iter().filter(|(name, _)| name != PICTURE);
        let of = |(_, tensor): (String, &Tensor)| match tensor.shape().elements() {
            own if own == piece => 4 * numbers,
            own => 4 * own as u64,
        };
        state.map(of).sum()
    }

    /// Moves the picture against `gradient`.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn step(&mut self, gradient: &[f32]) -> Result<()> {
        let (gpu, piece) = (&self.gpu, self.x.shape().elements());
        let clocks: BTreeMap<String, Vec<f32>> = self
            .state
            .iter()
            .filter(|(_, numbers)| numbers.len() != self.picture.len())
            .map(|(name, numbers)| (name.clone(), numbers.clone()))
            .collect();
        for start in (0..self.picture.len()).step_by(piece) {
            let here = start..self.picture.len().min(start + piece);
            write(gpu, &self.x, &self.picture, here.clone())?;
            write(gpu, &self.gradient, gradient, here.clone())?;
            let tensors = self.optimizer.tensors();
            let known = || tensors.iter().filter(|(name, _)| name != PICTURE);
            for (name, tensor) in known() {
                // Every piece takes the same step.
                match clocks.get(name) {
                    Some(clock) => gpu.write(tensor, clock)?,
                    None => write(gpu, tensor, &self.state[name], here.clone())?,
                }
            }
            self.program.run().await?;
            self.picture[here.clone()].copy_from_slice(&gpu.read(&self.x).await?[..here.len()]);
            for (name, tensor) in known() {
                let numbers = gpu.read(tensor).await?;
                match self.state.get_mut(name) {
                    Some(own) if clocks.contains_key(name) => own.clone_from(&numbers),
                    Some(own) => own[here.clone()].copy_from_slice(&numbers[..here.len()]),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// Writes a part of `numbers` to the beginning of a tensor; what the GPU makes of the rest is not read.
fn write(gpu: &Gpu, tensor: &Tensor, numbers: &[f32], here: Range<usize>) -> Result<()> {
    let mut part = numbers[here].to_vec();
    part.resize(tensor.shape().elements(), 0.0);
    gpu.write(tensor, &part)
}

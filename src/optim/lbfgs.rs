//! L-BFGS on the GPU: history, products and the two-loop recursion stay there, and so does every decision, so that a
//! step is a replay of the same dispatches. `shaders/lbfgs.wgsl` has the formulas.
//!
//! One step is one evaluation of loss and gradient at a trial point. A trial that lowers the loss enough (Armijo's
//! condition) becomes the base, and the next trial is a full step along the new direction; any other is thrown away,
//! and the next trial is nearer to the base; after four in a row the history is forgotten. The loss at the base never
//! rises, but for rounding. The direction is that of the coordinates that may move: those on a bound of 0..1 whose
//! gradient pushes them out are held.

use crate::error::Result;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Value};
use crate::ops::shares;
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// The shader.
pub static SHADER: Shader = shader!("lbfgs");
static MEASURE: KernelId = KernelId::new(&SHADER, "measure");
static DECIDE: KernelId = KernelId::new(&SHADER, "decide");
static REMEMBER: KernelId = KernelId::new(&SHADER, "remember");
static GATHER: KernelId = KernelId::new(&SHADER, "gather");
static RECUR: KernelId = KernelId::new(&SHADER, "recur");
static COMBINE: KernelId = KernelId::new(&SHADER, "combine");
static ADVANCE: KernelId = KernelId::new(&SHADER, "advance");

/// Members of the shader's `State`.
const STATE: usize = 11;
/// Products that a kernel sums at a time.
const PRODUCTS: usize = 5;

/// The optimiser's settings and its state for one tensor.
pub struct Lbfgs {
    lr: f32,
    state: Tensor,
    base: Tensor,
    base_gradient: Tensor,
    direction: Tensor,
    /// Change of the point and of the gradient, for every slot of the ring.
    pairs: Vec<(Tensor, Tensor)>,
    bends: Tensor,
    weights: Tensor,
}

impl Lbfgs {
    /// The optimiser before its first step, with room for `history` pairs (at least 1) of vectors of that shape. As
    /// long as no pair is known, a trial is `lr` away from the base, as a root mean square.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when the state is too large for the adapter.
    pub fn new(gpu: &Gpu, shape: &Shape, lr: f32, history: usize) -> Result<Self> {
        let history = history.max(1);
        let zeros = || gpu.zeros(shape.clone());
        let pair = |_| Ok((zeros()?, zeros()?));
        Ok(Lbfgs {
            lr,
            state: gpu.zeros([STATE])?,
            base: zeros()?,
            base_gradient: zeros()?,
            direction: zeros()?,
            pairs: (0..history).map(pair).collect::<Result<_>>()?,
            bends: gpu.zeros([history, history, 2])?,
            weights: gpu.zeros([history, 2])?,
        })
    }

    /// Bytes of its state for a tensor of that shape. What it needs only during a step (three vectors) is in the
    /// step's [`Plan`](crate::gpu::Plan).
    pub fn bytes(shape: &Shape, history: usize) -> u64 {
        let history = history.max(1);
        let small = STATE + 2 * history * history + 2 * history;
        (2 * history as u64 + 3) * shape.bytes() + 4 * small as u64
    }

    /// Starts at the point `x`, after `steps` steps of others.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub fn start(&self, gpu: &Gpu, x: &[f32], steps: u64) -> Result<()> {
        let mut state = [0.0; STATE];
        state[0] = steps as f32;
        gpu.write(&self.state, &state)?;
        gpu.write(&self.base, x)
    }

    /// Everything that it knows, by name.
    pub(super) fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut tensors = vec![
            ("state".to_string(), &self.state),
            ("base".into(), &self.base),
            ("base_gradient".into(), &self.base_gradient),
            ("direction".into(), &self.direction),
            ("bends".into(), &self.bends),
            ("weights".into(), &self.weights),
        ];
        for (slot, (s, y)) in self.pairs.iter().enumerate() {
            tensors.extend([(format!("s{slot}"), s), (format!("y{slot}"), y)]);
        }
        tensors
    }

    /// A tensor whose first number counts the steps taken.
    pub fn clock(&self) -> &Tensor {
        &self.state
    }

    /// The point with the lowest loss so far; the tensor that moves is a trial.
    pub fn best(&self) -> &Tensor {
        &self.base
    }

    /// Records a step: judges the trial `x` by its `loss` and `gradient`, and moves `x` to the next one, in 0..1.
    ///
    /// # Errors
    /// As [`Recorder::kernel`].
    pub fn record(
        &self,
        recorder: &mut Recorder,
        x: &Tensor,
        gradient: &Value,
        loss: &Value,
    ) -> Result<()> {
        recorder.scope = "optimiser".into();
        let (count, history) = (x.shape().elements(), self.pairs.len());
        let (share, shares) = shares(count);
        let moved = ("moved", &recorder.temporary([count]));
        let turned = ("turned", &recorder.temporary([count]));
        let pull = ("pull", &recorder.temporary([count]));
        let step_sums = ("partials", &recorder.temporary([PRODUCTS, shares]));
        let pair_sums = ("partials", &recorder.temporary([history, PRODUCTS, shares]));
        let products = ("products", &recorder.temporary([history, PRODUCTS]));
        let (x, gradient, loss) = (("x", &x.into()), ("gradient", gradient), ("loss", loss));
        let state = ("state", &(&self.state).into());
        let base = ("base", &(&self.base).into());
        let base_gradient = ("base_gradient", &(&self.base_gradient).into());
        let direction = ("direction", &(&self.direction).into());
        let bends = ("bends", &(&self.bends).into());
        let weights = ("weights", &(&self.weights).into());
        let mut call = |id, slot: usize, bound: &[Bound<'_>], grid: Grid| {
            let call = recorder.kernel(id).set("slot", slot).set("history", history);
            let call = bound.iter().fold(call, |call, (name, value)| call.bind(name, value));
            let call = call.set("count", count).set("share", share).set("partials", shares);
            let call = call.set("lr", self.lr).set("low", 0.0).set("high", 1.0);
            match grid {
                Grid::Groups(groups) => call.groups([groups as u32, 1, 1]),
                Grid::Elements => call.over(count),
            }
        };
        let sums = Grid::Groups(shares);
        let all = [x, gradient, base, base_gradient, moved, turned, pull, step_sums];
        call(&MEASURE, 0, &all, sums)?;
        call(&DECIDE, 0, &[state, loss, step_sums], Grid::Groups(1))?;
        let pairs: Vec<(Value, Value)> =
            self.pairs.iter().map(|(s, y)| (s.into(), y.into())).collect();
        for (slot, (s, y)) in pairs.iter().enumerate() {
            let all = [state, moved, turned, pull, ("s", s), ("y", y), pair_sums];
            call(&REMEMBER, slot, &all, sums)?;
        }
        call(&GATHER, 0, &[pair_sums, products], Grid::Groups(history))?;
        call(&RECUR, 0, &[state, products, bends, weights], Grid::Groups(1))?;
        for (slot, (s, y)) in pairs.iter().enumerate() {
            let all = [state, ("s", s), ("y", y), direction, weights];
            call(&COMBINE, slot, &all, Grid::Elements)?;
        }
        let all = [state, x, gradient, base, base_gradient, direction];
        call(&ADVANCE, 0, &all, Grid::Elements)
    }
}

/// A buffer under its name in the shader.
type Bound<'a> = (&'static str, &'a Value);

#[derive(Clone, Copy)]
enum Grid {
    Groups(usize),
    Elements,
}

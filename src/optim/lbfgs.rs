//! L-BFGS on the GPU: history, products and the two-loop recursion stay there, and so does every decision, so that a
//! step is a replay of the same dispatches. `shaders/lbfgs.wgsl` has the formulas.
//!
//! One step is one evaluation of loss and gradient at a trial point. A trial that lowers the loss enough (Armijo's
//! condition) becomes the base, and the next trial is a full step along the new direction; any other is thrown away,
//! and the next trial is nearer to the base; after four in a row the history is forgotten. The loss at the base never
//! rises, but for rounding. The direction is that of the coordinates that may move: those on a bound of 0..1 whose
//! gradient pushes them out are held.

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader, Tensor, Value};
use crate::ops::shares;
use crate::shape::Shape;

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
    pub(super) lr: f32,
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
    /// A first step that suits pictures: the slope there is steep, and a longer one is most often taken back.
    pub const LR: f32 = 0.01;
    /// Pairs to remember: more bring little (`docs/OPTIMISERS.md`).
    pub const HISTORY: usize = 10;

    /// The optimiser before its first step, with room for `history` pairs (at least 1) of vectors of that shape. As
    /// long as no pair is known, a trial is `lr` away from the base, as a root mean square.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) when the state is too large for the adapter.
    pub fn new(gpu: &Gpu, shape: &Shape, lr: f32, history: usize) -> Result<Self> {
        let history = history.max(1);
        let (zeros, fours) = (|| gpu.zeros(shape.clone()), || gpu.zeros([padded(shape)]));
        let pair = |_| Ok((fours()?, fours()?));
        Ok(Lbfgs {
            lr,
            state: gpu.zeros([STATE])?,
            base: zeros()?,
            base_gradient: zeros()?,
            direction: fours()?,
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
        let fours = (2 * history + 1) * padded(shape);
        2 * shape.bytes() + 4 * (fours + small) as u64
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
        // As long shares as of ones: shorter ones, with more sums to make, took lavapipe twice as long.
        let (ones, fours) = (Split::of(count), Split::of(count.div_ceil(4)));
        let mut vector = || recorder.temporary([padded(x.shape())]);
        let (moved, turned, pull) = (&vector(), &vector(), &vector());
        let step_sums = ("partials", &recorder.temporary([PRODUCTS, ones.shares]));
        let pair_sums = ("partials", &recorder.temporary([history, PRODUCTS, fours.shares]));
        let products = ("products", &recorder.temporary([history, PRODUCTS]));
        let (x, gradient, loss) = (("x", &x.into()), ("gradient", gradient), ("loss", loss));
        let state = ("state", &(&self.state).into());
        let base = ("base", &(&self.base).into());
        let base_gradient = ("base_gradient", &(&self.base_gradient).into());
        let direction = &(&self.direction).into();
        let bends = ("bends", &(&self.bends).into());
        let weights = ("weights", &(&self.weights).into());
        let mut call = |id, slot: usize, bound: &[Bound<'_>], (split, grid): (Split, Grid)| {
            let call = recorder.kernel(id).set("slot", slot).set("history", history);
            let call = bound.iter().fold(call, |call, (name, value)| call.bind(name, value));
            let call = call.set("share", split.share).set("partials", split.shares);
            let call = call.set("count", count).set("lr", self.lr).set("low", 0.0).set("high", 1.0);
            match grid {
                Grid::Groups(groups) => call.groups([groups as u32, 1, 1]),
                Grid::Shares => call.groups([split.shares as u32, 1, 1]),
                Grid::Each => call.over(split.count),
            }
        };
        let vectors = [("moved", moved), ("turned", turned), ("pull", pull)];
        let all = [&[x, gradient, base, base_gradient, step_sums], &vectors[..]].concat();
        call(&MEASURE, 0, &all, (ones, Grid::Shares))?;
        call(&DECIDE, 0, &[state, loss, step_sums], (ones, Grid::Groups(1)))?;
        let pairs: Vec<(Value, Value)> =
            self.pairs.iter().map(|(s, y)| (s.into(), y.into())).collect();
        let vectors = [("moved4", moved), ("turned4", turned), ("pull4", pull)];
        for (slot, (s, y)) in pairs.iter().enumerate() {
            let all = [&[state, ("s", s), ("y", y), pair_sums], &vectors[..]].concat();
            call(&REMEMBER, slot, &all, (fours, Grid::Shares))?;
        }
        call(&GATHER, 0, &[pair_sums, products], (fours, Grid::Groups(history)))?;
        call(&RECUR, 0, &[state, products, bends, weights], (fours, Grid::Groups(1)))?;
        for (slot, (s, y)) in pairs.iter().enumerate() {
            let all = [state, ("s", s), ("y", y), ("direction4", direction), weights];
            call(&COMBINE, slot, &all, (fours, Grid::Each))?;
        }
        let all = [state, x, gradient, base, base_gradient, ("direction", direction)];
        call(&ADVANCE, 0, &all, (ones, Grid::Each))
    }
}

/// Numbers of a vector that is read by fours.
fn padded(shape: &Shape) -> usize {
    shape.elements().next_multiple_of(4)
}

/// How a kernel's work is shared out: so many things, in shares of so many each.
#[derive(Clone, Copy)]
struct Split {
    count: usize,
    share: usize,
    shares: usize,
}

impl Split {
    fn of(count: usize) -> Self {
        let (share, shares) = shares(count);
        Split { count, share, shares }
    }
}

/// A buffer under its name in the shader.
type Bound<'a> = (&'static str, &'a Value);

#[derive(Clone, Copy)]
enum Grid {
    Groups(usize),
    /// A workgroup a share.
    Shares,
    /// An invocation each.
    Each,
}

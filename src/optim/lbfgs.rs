//! L-BFGS on the GPU: history, products and the two-loop recursion stay there, and so does every decision, so that a
//! step is a replay of the same dispatches. `shaders/lbfgs.wgsl` has the formulas.
//!
//! One step is one evaluation of loss and gradient at a trial point. A trial that lowers the loss enough (Armijo's
//! condition) becomes the base, and the next trial is a full step along the new direction; any other is thrown away,
//! and the next trial is nearer to the base; after four in a row the history is forgotten. The loss at the base never
//! rises, but for rounding. The direction is that of the coordinates that may move: those on a bound whose gradient
//! pushes them out are held.
//!
//! A list of tensors is one long vector, of which each tensor holds a part: kernels over elements run for every part,
//! and inner products are sums over all of them. That takes 2 + 2 · history dispatches a tensor.

use super::state::name_of;
use super::step::Step;
use crate::error::Result;
use crate::gpu::{Call, Gpu, KernelId, Recorder, Shader, Tensor, Value};
use crate::gpu::{shader, shares};
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

/// The optimiser's settings and its state for a list of tensors.
pub struct Lbfgs {
    history: usize,
    state: Tensor,
    parts: Vec<Part>,
    bends: Tensor,
    weights: Tensor,
}

/// What is known of one tensor.
struct Part {
    base: Tensor,
    base_gradient: Tensor,
    direction: Tensor,
    /// Change of the point and of the gradient, for every slot of the ring.
    pairs: Vec<(Tensor, Tensor)>,
}

impl Part {
    fn new(gpu: &Gpu, shape: &Shape, history: usize) -> Result<Self> {
        let (zeros, fours) = (|| gpu.zeros(shape.clone()), || gpu.zeros([padded(shape)]));
        let pair = |_| Ok((fours()?, fours()?));
        Ok(Part {
            base: zeros()?,
            base_gradient: zeros()?,
            direction: fours()?,
            pairs: (0..history).map(pair).collect::<Result<_>>()?,
        })
    }
}

impl Lbfgs {
    /// A first step that suits pictures: the slope there is steep, and a longer one is most often taken back.
    pub const LR: f32 = 0.01;
    /// Pairs to remember: more bring little (`docs/OPTIMISERS.md`).
    pub const HISTORY: usize = 10;

    /// The optimiser before its first step, with room for `history` pairs (at least 1) of vectors. As long as no pair
    /// is known, a trial is the rate away from the base, as a root mean square.
    pub(super) fn new(gpu: &Gpu, shapes: &[Shape], history: usize) -> Result<Self> {
        let history = history.max(1);
        let state = gpu.zeros([STATE])?;
        let part = |shape| Part::new(gpu, shape, history);
        Ok(Lbfgs {
            history,
            state,
            parts: shapes.iter().map(part).collect::<Result<_>>()?,
            bends: gpu.zeros([history, history, 2])?,
            weights: gpu.zeros([history, 2])?,
        })
    }

    /// Starts at the point `x`, after `steps` steps of others.
    pub(super) fn start<'a>(
        &self,
        gpu: &Gpu,
        x: impl IntoIterator<Item = &'a [f32]>,
        steps: u64,
    ) -> Result<()> {
        let mut state = [0.0; STATE];
        state[0] = steps as f32;
        gpu.write(&self.state, &state)?;
        self.parts.iter().zip(x).try_for_each(|(part, x)| gpu.write(&part.base, x))
    }

    /// Everything that it knows, by name, for tensors of these names.
    pub(super) fn tensors(&self, names: &[String]) -> Vec<(String, &Tensor)> {
        let small = [("state", &self.state), ("bends", &self.bends), ("weights", &self.weights)];
        let mut tensors = small.map(|(name, tensor)| (name.to_string(), tensor)).to_vec();
        for (name, part) in names.iter().zip(&self.parts) {
            let mut own = vec![
                ("base".to_string(), &part.base),
                ("base_gradient".into(), &part.base_gradient),
                ("direction".into(), &part.direction),
            ];
            for (slot, (s, y)) in part.pairs.iter().enumerate() {
                own.extend([(format!("s{slot}"), s), (format!("y{slot}"), y)]);
            }
            tensors.extend(own.into_iter().map(|(what, tensor)| (name_of(&what, name), tensor)));
        }
        tensors
    }

    /// A tensor whose first number counts the steps taken.
    pub(super) fn clock(&self) -> &Tensor {
        &self.state
    }

    /// The point with the lowest loss so far, its part `at`; the tensors that move are a trial.
    pub(super) fn best(&self, at: usize) -> &Tensor {
        &self.parts[at].base
    }

    /// Records a step: judges the trial by its `loss` and gradients, and moves the tensors to the next one.
    pub(super) fn record(&self, step: Step<'_>, loss: &Value) -> Result<()> {
        let Step { recorder, tensors, gradients, rate, bounds } = step;
        let vectors: Vec<Vectors> = std::iter::zip(tensors, gradients)
            .zip(&self.parts)
            .map(|((x, gradient), part)| Vectors::new(recorder, (x, gradient), part))
            .collect();
        // As long shares as of ones: shorter ones, with more sums to make, took lavapipe twice as long.
        let (ones, fours) = (Split::new(tensors, 1), Split::new(tensors, 4));
        let history = self.history;
        let step_sums = ("partials", &recorder.temporary([PRODUCTS, ones.shares]));
        let pair_sums = ("partials", &recorder.temporary([history, PRODUCTS, fours.shares]));
        let products = ("products", &recorder.temporary([history, PRODUCTS]));
        let state = ("state", &(&self.state).into());
        let bends = ("bends", &(&self.bends).into());
        let weights = ("weights", &(&self.weights).into());
        let (loss, rate) = (("loss", loss), ("rate", &rate.into()));
        let mut scribe = Scribe { recorder, history, bounds };
        for (vector, own) in vectors.iter().zip(&ones.parts) {
            let all = [&vector.point()[..], &vector.changes(), &[step_sums]].concat();
            scribe.shares((&MEASURE, 0), &all, (&ones, own))?;
        }
        scribe.common(&DECIDE, &[state, loss, step_sums], (&ones, 1))?;
        for slot in 0..history {
            for (vector, own) in vectors.iter().zip(&fours.parts) {
                let all = [&vector.pair(slot)[..], &vector.changes4(), &[state, pair_sums]];
                scribe.shares((&REMEMBER, slot), &all.concat(), (&fours, own))?;
            }
        }
        scribe.common(&GATHER, &[pair_sums, products], (&fours, history))?;
        scribe.common(&RECUR, &[state, products, bends, weights, rate], (&ones, 1))?;
        for slot in 0..history {
            for (vector, own) in vectors.iter().zip(&fours.parts) {
                let direction = ("direction4", &vector.direction);
                let all = [&vector.pair(slot)[..], &[state, weights, direction]];
                scribe.each((&COMBINE, slot), &all.concat(), own)?;
            }
        }
        for (vector, own) in vectors.iter().zip(&ones.parts) {
            let all = [&vector.point()[..], &[state, ("direction", &vector.direction)]];
            scribe.each((&ADVANCE, 0), &all.concat(), own)?;
        }
        Ok(())
    }
}

/// Numbers of a vector that is read by fours.
fn padded(shape: &Shape) -> usize {
    shape.elements().next_multiple_of(4)
}

/// A buffer under its name in the shader.
type Bound<'a> = (&'static str, &'a Value);

/// All vectors of one tensor, as a recording knows them.
struct Vectors {
    x: Value,
    gradient: Value,
    base: Value,
    base_gradient: Value,
    direction: Value,
    pairs: Vec<(Value, Value)>,
    /// moved, turned, pull: only during a step.
    changes: [Value; 3],
}

impl Vectors {
    fn new(recorder: &mut Recorder, (x, gradient): (&Tensor, &Value), part: &Part) -> Self {
        Vectors {
            x: x.into(),
            gradient: gradient.clone(),
            base: (&part.base).into(),
            base_gradient: (&part.base_gradient).into(),
            direction: (&part.direction).into(),
            pairs: part.pairs.iter().map(|(s, y)| (s.into(), y.into())).collect(),
            changes: [(); 3].map(|()| recorder.temporary([padded(x.shape())])),
        }
    }

    fn point(&self) -> [Bound<'_>; 4] {
        let (base, base_gradient) = (("base", &self.base), ("base_gradient", &self.base_gradient));
        [("x", &self.x), ("gradient", &self.gradient), base, base_gradient]
    }

    fn changes(&self) -> [Bound<'_>; 3] {
        let [moved, turned, pull] = &self.changes;
        [("moved", moved), ("turned", turned), ("pull", pull)]
    }

    fn changes4(&self) -> [Bound<'_>; 3] {
        let [moved, turned, pull] = &self.changes;
        [("moved4", moved), ("turned4", turned), ("pull4", pull)]
    }

    fn pair(&self, slot: usize) -> [Bound<'_>; 2] {
        let (s, y) = &self.pairs[slot];
        [("s", s), ("y", y)]
    }
}

/// How the work on all tensors is shared out.
struct Split {
    numbers: usize,
    shares: usize,
    parts: Vec<PartSplit>,
}

/// How the work on one tensor is shared out, which has so many numbers: so many things to do, in shares of so many
/// each, which come after the `first` shares of the tensors before.
struct PartSplit {
    numbers: usize,
    count: usize,
    share: usize,
    shares: usize,
    first: usize,
}

impl Split {
    /// For tensors that are read so many numbers at a time.
    fn new(tensors: &[Tensor], at_a_time: usize) -> Self {
        let mut split = Split { numbers: 0, shares: 0, parts: Vec::new() };
        for tensor in tensors {
            let numbers = tensor.shape().elements();
            let count = numbers.div_ceil(at_a_time);
            let (share, shares) = shares(count);
            split.parts.push(PartSplit { numbers, count, share, shares, first: split.shares });
            split.numbers += numbers;
            split.shares += shares;
        }
        split
    }
}

/// Records dispatches with the parameters that all of them have.
struct Scribe<'a> {
    recorder: &'a mut Recorder,
    history: usize,
    bounds: [f32; 2],
}

impl Scribe<'_> {
    /// A workgroup for every share of a tensor.
    fn shares(
        &mut self,
        (id, slot): (&KernelId, usize),
        bound: &[Bound<'_>],
        (split, own): (&Split, &PartSplit),
    ) -> Result<()> {
        let [history, partials] = [self.history, split.shares];
        let call = self.call(id, bound).set("slot", slot).set("history", history);
        let call = call.set("count", own.numbers).set("share", own.share);
        let call = call.set("first", own.first).set("partials", partials);
        call.groups([own.shares as u32, 1, 1])
    }

    /// An invocation for everything to do on a tensor.
    fn each(
        &mut self,
        (id, slot): (&KernelId, usize),
        bound: &[Bound<'_>],
        own: &PartSplit,
    ) -> Result<()> {
        let history = self.history;
        let call = self.call(id, bound).set("slot", slot).set("history", history);
        let call = call.set("count", own.numbers).set("share", own.share);
        call.set("first", own.first).set("partials", own.shares).over(own.count)
    }

    /// So many workgroups for what all tensors have in common.
    fn common(
        &mut self,
        id: &KernelId,
        bound: &[Bound<'_>],
        (split, groups): (&Split, usize),
    ) -> Result<()> {
        let history = self.history;
        let call = self.call(id, bound).set("slot", 0).set("history", history);
        let call = call.set("count", split.numbers).set("share", 0);
        let call = call.set("first", 0).set("partials", split.shares);
        call.groups([groups as u32, 1, 1])
    }

    fn call<'s>(&'s mut self, id: &'s KernelId, bound: &[Bound<'_>]) -> Call<'s> {
        let [low, high] = self.bounds;
        let call = self.recorder.kernel(id).set("low", low).set("high", high);
        bound.iter().fold(call, |call, (name, value)| call.bind(name, value))
    }
}

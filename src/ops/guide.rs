//! `guide`: losses that look at a part of a map (Gatys et al., "Controlling Perceptual Factors in Neural Style
//! Transfer", CVPR 2017, section 4: every feature times a guidance channel).
//!
//! A guide is a map of one channel, from 0 to 1, the square root of how much each pixel counts. It works for operations
//! that are quadratic in their maps and treat all pixels alike, as Gram matrices and squared errors do: with
//! y = q(g·x), ∂y/∂x = g·q'(g·x) = q'(g²·x). So the backward pass needs no second multiplication, nor the guided map
//! of the forward pass, which would double the memory of every layer that a loss reads.

use super::channel_mean::ChannelMean;
use super::gram::Gram;
use super::reference::{Array, Reference};
use super::squared_error::SquaredError;
use super::{Case, Entry};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("guide");
static RUN: KernelId = KernelId::new(&SHADER, "run");
static SPREAD: KernelId = KernelId::new(&SHADER, "spread");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "guide", shaders: &[&SHADER], cases };

/// [`gram`](super::gram()) of guide·x. C×H×W and 1×H×W → C×C, still over H·W.
///
/// # Errors
/// [`Error::Shape`] when the guide has another size; otherwise as [`Tape::record`].
pub fn guided_gram(tape: &mut Tape, x: Var, guide: Var) -> Result<Var> {
    tape.record(Guided { inner: Gram { variant: None }, maps: 1 }, &[x, guide])
}

/// [`relative_error`](super::relative_error) of guide·x against guide·target.
///
/// # Errors
/// [`Error::Shape`] when shapes differ; otherwise as [`Tape::record`].
pub fn guided_error(
    tape: &mut Tape,
    [x, target]: [Var; 2],
    denominator: Var,
    factor: f32,
    guide: Var,
) -> Result<Var> {
    let inner = SquaredError { factor };
    tape.record(Guided { inner, maps: 2 }, &[x, target, denominator, guide])
}

/// [`channel_mean`](super::channel_mean()) of guide²·x. C×H×W and 1×H×W → C, still over H·W.
///
/// # Errors
/// As [`guided_gram`].
pub fn guided_mean(tape: &mut Tape, x: Var, guide: Var) -> Result<Var> {
    tape.record(GuidedMean, &[x, guide])
}

/// Records guide·x, or guide²·x.
pub(crate) fn seen(
    recorder: &mut Recorder,
    x: &Value,
    guide: &Value,
    square: bool,
) -> Result<Value> {
    let y = recorder.temporary_in(x.precision(), x.shape().clone());
    let (count, pixels) = (x.shape().elements(), guide.shape().elements());
    let call = recorder.kernel(&RUN).bind("x", x).bind("guide", guide).bind("y", &y);
    let call = call.set("count", count).set("pixels", pixels).set("square", square);
    let call = call.set("accumulate", false);
    call.over(count)?;
    Ok(y)
}

/// An operation on guided maps: its inputs, the first `maps` of them C×H×W, then the guide, which gets no gradient.
#[derive(Clone)]
struct Guided<T> {
    inner: T,
    maps: usize,
}

impl<T: Op> Guided<T> {
    /// The inner operation's inputs, through the guide or its square.
    fn inputs(&self, recorder: &mut Recorder, x: &[Value], square: bool) -> Result<Vec<Value>> {
        let (guide, inputs) = split(x)?;
        let mut seen = inputs.to_vec();
        for map in &mut seen[..self.maps] {
            *map = self::seen(recorder, map, guide, square)?;
        }
        Ok(seen)
    }
}

/// The last of an operation's inputs, and those before.
fn split<T>(inputs: &[T]) -> Result<(&T, &[T])> {
    let none = || Error::Shape { op: "guide", what: "takes a guide".into() };
    inputs.split_last().ok_or_else(none)
}

impl<T: Op> Op for Guided<T> {
    fn name(&self) -> &'static str {
        "guide"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let (guide, inputs) = split(inputs)?;
        inputs[..self.maps].iter().try_for_each(|map| check(map, guide))?;
        self.inner.shape(inputs)
    }

    fn maps(&self) -> usize {
        self.maps
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let seen = self.inputs(recorder, x, false)?;
        self.inner.forward(recorder, &seen, y)
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let seen = self.inputs(recorder, pass.x, true)?;
        let (guide, dx) = split(pass.dx)?;
        if guide.is_some() {
            let what = "the guide gets no gradient; freeze it".into();
            return Err(Error::Shape { op: "guide", what });
        }
        self.inner.backward(recorder, &Backward { x: &seen, dx, ..*pass })
    }
}

impl<T: Reference + Clone + 'static> Guided<T> {
    fn seen(&self, x: &[Array]) -> Vec<Array> {
        let (guide, inputs) = (&x[x.len() - 1], &x[..x.len() - 1]);
        let mut seen = inputs.to_vec();
        seen[..self.maps].iter_mut().for_each(|map| *map = guided(map, guide));
        seen
    }
}

fn guided(map: &Array, guide: &Array) -> Array {
    let pixels = guide.data.len();
    Array::from_fn(map.shape.clone(), |i| map.data[i] * guide.data[i % pixels])
}

impl<T: Reference + Clone + 'static> Reference for Guided<T> {
    fn reference(&self, x: &[Array]) -> Array {
        self.inner.reference(&self.seen(x))
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let guide = &x[x.len() - 1];
        let mut dx = self.inner.reference_backward(&self.seen(x), dy);
        dx[..self.maps].iter_mut().for_each(|map| *map = guided(map, guide));
        dx.push(Array::zeros(guide.shape.clone()));
        dx
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

/// That a guide has the size of a map.
fn check(map: &Shape, guide: &Shape) -> Result<()> {
    let ([_, h, w], [one, gh, gw]) = (map.chw("guide")?, guide.chw("guide")?);
    if (one, gh, gw) == (1, h, w) {
        return Ok(());
    }
    let what = format!("{guide} does not guide {map}: it takes 1×{h}×{w}");
    Err(Error::Shape { op: "guide", what })
}

/// The mean of every channel, which is linear in its map: pixels count by the guide's square.
#[derive(Clone)]
struct GuidedMean;

impl Op for GuidedMean {
    fn name(&self) -> &'static str {
        "guide"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let (guide, inputs) = split(inputs)?;
        check(inputs[0], guide)?;
        ChannelMean.shape(inputs)
    }

    fn maps(&self) -> usize {
        1
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let seen = seen(recorder, &x[0], &x[1], true)?;
        ChannelMean.forward(recorder, &[seen], y)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let (count, pixels) = (dx.value.shape().elements(), pass.x[1].shape().elements());
        let call = recorder.kernel(&SPREAD).bind("guide", &pass.x[1]).bind("dy", pass.dy);
        let call = call.bind("y", &dx.value).set("count", count).set("pixels", pixels);
        call.set("square", true).set("accumulate", dx.accumulate).over(count)
    }
}

impl Reference for GuidedMean {
    fn reference(&self, x: &[Array]) -> Array {
        let seen = guided(&guided(&x[0], &x[1]), &x[1]);
        ChannelMean.reference(&[seen])
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let dx = ChannelMean.reference_backward(&x[..1], dy).remove(0);
        let dx = guided(&guided(&dx, &x[1]), &x[1]);
        vec![dx, Array::zeros(x[1].shape.clone())]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [c, h, w] in [[1, 1, 1], [5, 9, 1], [3, 5, 7], [13, 31, 33]] {
        let (map, guide) = (Shape::from([c, h, w]), Shape::from([1, h, w]));
        let gram = Guided { inner: Gram { variant: None }, maps: 1 };
        cases.push(Case::new(gram, vec![map.clone(), guide.clone()], "gram").frozen(&[1]));
        cases.push(Case::new(GuidedMean, vec![map.clone(), guide.clone()], "mean").frozen(&[1]));
        let error = Guided { inner: SquaredError { factor: 0.3 }, maps: 2 };
        let inputs = vec![map.clone(), map, Shape::scalar(), guide];
        cases.push(Case::new(error, inputs, "squared_error").frozen(&[1, 2, 3]));
    }
    cases
}

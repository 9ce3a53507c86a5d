//! A small autograd tape.
//!
//! Calling an operation records its forward dispatches at once and a node on the tape.
//! [`Tape::backward`] walks the nodes from a result back to the variables and records the backward
//! dispatches. Nothing runs until the recording has become a [`Program`] and is replayed.
//!
//! **The rule of accumulation**, stated here once: a node's gradient is the sum over all uses of its
//! value. The tape gives each backward dispatch the buffer of the gradient and says whether to write
//! (`=`, the first use) or to add (`+=`, every later one). When a node's own backward runs, all
//! later uses have been added; from then on its gradient is scratch memory that it may overwrite.
//! Where an operation ends in a ReLU ([`Op::rectified`]), its gradient counts only where its value is above 0:
//! the last use masks it in passing where it can ([`Op::masks`]), otherwise the tape does.
//! Frozen inputs have no gradient and cost nothing; nodes that the result does not depend on are
//! skipped.
//!
//! **There is no batch dimension.** A batch is replays that add to the gradients: [`Tape::backward_into`] adds to tensors
//! that last, [`Program::submit_in_batch`] says which replay begins the batch and which ends it, and the optimiser is
//! recorded for the last. Between replays the inputs are rewritten. That is exact, because nothing here looks at two
//! pictures at once: norms, Gram matrices and AdaIN's statistics are per picture. It takes the memory of one picture.
//! The mean over n replays is the sum of gradients times the factor 1/n.

pub(crate) mod inplace;
pub mod loss_scale;
mod op;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::{Frozen, Gpu, Phase, Program, Recorder, Tensor, Value};
use crate::shape::{Precision, Shape};
use crate::tape::inplace::{cleared, scaled};

pub use op::{Backward, Gradient, Op, Saved};

/// A value on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(usize);

struct Node {
    value: Value,
    /// A variable or a result that depends on one.
    needs_gradient: bool,
    source: Option<Source>,
}

impl Node {
    fn rectified(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.op.rectified())
    }
}

/// The operation that made a node.
struct Source {
    op: Box<dyn Op>,
    inputs: Vec<Var>,
    saved: Saved,
    scope: String,
}

/// Records operations and their gradients.
pub struct Tape {
    recorder: Recorder,
    nodes: Vec<Node>,
}

impl Tape {
    /// An empty tape for a device.
    pub fn new(gpu: &Gpu) -> Self {
        Tape { recorder: Recorder::new(gpu), nodes: Vec::new() }
    }

    /// What the operations to come belong to, such as `conv1_1`: the first word of the labels under
    /// which their dispatches are timed.
    pub fn scope(&mut self, scope: impl Into<String>) {
        self.recorder.scope = scope.into();
    }

    /// A tensor with respect to which gradients are wanted.
    pub fn variable(&mut self, tensor: &Tensor) -> Var {
        self.push(tensor.into(), true, None)
    }

    /// A tensor that gets no gradient; its numbers may be replaced between replays.
    pub fn constant(&mut self, tensor: &Tensor) -> Var {
        self.push(tensor.into(), false, None)
    }

    /// A value of this tape's recorder, or a tensor's, that gets no gradient.
    pub(crate) fn given(&mut self, value: &Value) -> Var {
        self.push(value.clone(), false, None)
    }

    /// Numbers that never change.
    pub fn frozen(&mut self, numbers: &Arc<Frozen>) -> Var {
        self.push(numbers.into(), false, None)
    }

    /// Records an operation.
    ///
    /// # Errors
    /// [`Error::Shape`] when the inputs do not fit; otherwise as [`Op::forward`].
    pub fn record(&mut self, op: impl Op + 'static, inputs: &[Var]) -> Result<Var> {
        self.record_boxed(Box::new(op), inputs)
    }

    /// As [`Tape::record`], for operations from the catalogue.
    ///
    /// # Errors
    /// As [`Tape::record`].
    pub fn record_boxed(&mut self, op: Box<dyn Op>, inputs: &[Var]) -> Result<Var> {
        let x: Vec<Value> = inputs.iter().map(|v| self.nodes[v.0].value.clone()).collect();
        let shapes: Vec<&Shape> = x.iter().map(Value::shape).collect();
        let empty = |shape: &Shape| shape.dims().contains(&0);
        let wrong = |what| Error::Shape { op: op.name(), what };
        if shapes.iter().any(|shape| empty(shape)) {
            return Err(wrong(format!("takes no empty tensor: {shapes:?}")));
        }
        let shape = op.shape(&shapes)?;
        if empty(&shape) {
            return Err(wrong(format!("would give an empty tensor: {shape}")));
        }
        let precisions: Vec<Precision> = x.iter().map(Value::precision).collect();
        let (maps, others) = precisions.split_at(op.maps().min(x.len()));
        if maps.windows(2).any(|pair| pair[0] != pair[1]) || others.contains(&Precision::F16) {
            let wanted = "maps of one precision, and f32 for everything else";
            return Err(wrong(format!("takes {wanted}, not {precisions:?}")));
        }
        let y = self.recorder.temporary_in(op.precision(&precisions), shape);
        let saved = op.forward(&mut self.recorder, &x, &y)?;
        let needs_gradient = inputs.iter().any(|v| self.nodes[v.0].needs_gradient);
        let scope = self.recorder.scope.clone();
        let source = Source { op, inputs: inputs.to_vec(), saved, scope };
        Ok(self.push(y, needs_gradient, Some(source)))
    }

    fn push(&mut self, value: Value, needs_gradient: bool, source: Option<Source>) -> Var {
        self.nodes.push(Node { value, needs_gradient, source });
        Var(self.nodes.len() - 1)
    }

    /// The shape of a value.
    pub fn shape(&self, var: Var) -> &Shape {
        &self.nodes[var.0].value.shape
    }

    /// A value as the recorder knows it.
    pub fn value(&self, var: Var) -> &Value {
        &self.nodes[var.0].value
    }

    /// The recorder, for dispatches that are no differentiable operation.
    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// The same value without its past: no gradient flows back through it.
    pub fn detached(&mut self, var: Var) -> Var {
        self.push(self.nodes[var.0].value.clone(), false, None)
    }

    /// Makes a result last, so that it can be read after a replay.
    ///
    /// # Errors
    /// [`Error::Memory`] when it is too large for the adapter.
    pub fn keep(&mut self, var: Var) -> Result<Tensor> {
        self.recorder.keep(&self.nodes[var.0].value)
    }

    /// Records the gradients of the scalar `result` with respect to the variables.
    ///
    /// # Errors
    /// [`Error::Shape`] when `result` is no scalar; otherwise as [`Op::backward`].
    pub fn backward(&mut self, result: Var) -> Result<Gradients> {
        self.check_scalar(result)?;
        let one = self.frozen(&Frozen::scalar(1.0));
        self.backward_from(result, one)
    }

    /// Records vᵀ·∂`result`/∂variable for the upstream gradient v, which has the shape of `result`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes differ; otherwise as [`Op::backward`].
    pub fn backward_from(&mut self, result: Var, upstream: Var) -> Result<Gradients> {
        self.backward_from_all(&[(result, upstream, 1.0)])
    }

    /// Records that a replay adds factor · ∂`result`/∂variable, for the scalar `result`, to each variable's tensor, which
    /// has its shape and lasts from replay to replay. The replay that begins a batch clears the tensors first; so does
    /// [`Program::submit`], which is a batch of one. A variable without influence on `result` has a gradient of zeros.
    ///
    /// A recording clears and adds to a tensor once; several recordings may share it, say for pictures of several sizes.
    /// Maps stored as f16 need one loss scale for all replays of a batch: multiply `factor` by it, and divide the sums.
    ///
    /// # Errors
    /// [`Error::Shape`] when `result` is no scalar, when one of `sums` is for no [variable](Tape::variable) or of another
    /// shape, or when a variable occurs twice; otherwise as [`Op::backward`].
    pub fn backward_into(
        &mut self,
        result: Var,
        factor: f32,
        sums: &[(Var, &Tensor)],
    ) -> Result<()> {
        self.check_scalar(result)?;
        let wrong = |what| Err(Error::Shape { op: "backward", what });
        let one = self.frozen(&Frozen::scalar(1.0));
        let mut gradients: Vec<Option<Value>> = vec![None; self.nodes.len()];
        for (variable, sum) in sums {
            let node = &self.nodes[variable.0];
            if !node.needs_gradient || node.source.is_some() {
                return wrong("sums are for variables, not for constants or results".into());
            }
            if node.value.shape != sum.shape || node.value.precision != sum.precision {
                let (shape, of) = (&node.value.shape, &sum.shape);
                return wrong(format!("{shape} has no gradient of {of}"));
            }
            if gradients[variable.0].replace((*sum).into()).is_some() {
                return wrong("a variable has one sum".into());
            }
            self.clear_first(sum)?;
        }
        self.walk_back(&[(result, one, factor)], gradients).map(drop)
    }

    /// Records that a replay adds factor · `var` to a tensor of its shape that lasts from replay to replay, cleared where
    /// [`Tape::backward_into`] clears: the mean loss of a batch, say.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes differ; otherwise as [`Recorder::kernel`].
    pub fn add_into(&mut self, var: Var, factor: f32, sum: &Tensor) -> Result<()> {
        let value = self.value(var).clone();
        if value.shape.elements() != sum.shape.elements() {
            let what = format!("{} can't be added to {}", value.shape, sum.shape);
            return Err(Error::Shape { op: "add_into", what });
        }
        self.clear_first(sum)?;
        scaled(&mut self.recorder, &value, factor, &sum.into(), true)
    }

    /// Records that a batch begins with zeros there.
    fn clear_first(&mut self, sum: &Tensor) -> Result<()> {
        let before = std::mem::replace(&mut self.recorder.phase, Phase::First);
        let cleared = cleared(&mut self.recorder, &sum.into());
        self.recorder.phase = before;
        cleared
    }

    /// Records Σ factor · vᵀ·∂result/∂variable over several (result, v, factor), each v of its result's shape.
    ///
    /// # Errors
    /// As [`Tape::backward_from`].
    pub fn backward_from_all(&mut self, results: &[(Var, Var, f32)]) -> Result<Gradients> {
        self.walk_back(results, vec![None; self.nodes.len()])
    }

    fn check_scalar(&self, result: Var) -> Result<()> {
        let shape = self.shape(result);
        let what = || format!("starts from a scalar, not from {shape}");
        let is_scalar = *shape == Shape::scalar();
        if is_scalar { Ok(()) } else { Err(Error::Shape { op: "backward", what: what() }) }
    }

    /// As [`Tape::backward_from_all`], where some gradients have memory already, to which all uses add.
    fn walk_back(
        &mut self,
        results: &[(Var, Var, f32)],
        mut gradients: Vec<Option<Value>>,
    ) -> Result<Gradients> {
        for (result, upstream, factor) in results {
            let (shape, of) = (self.shape(*result).clone(), self.shape(*upstream));
            if shape != *of {
                let what = format!("{shape} has no gradient of {of}");
                return Err(Error::Shape { op: "backward", what });
            }
            // Gradients are scratch memory and the upstream one is the caller's: start from a copy.
            let accumulate = gradients[result.0].is_some();
            let precision = self.nodes[result.0].value.precision;
            let start = gradients[result.0]
                .get_or_insert_with(|| self.recorder.temporary_in(precision, shape))
                .clone();
            let upstream = &self.nodes[upstream.0].value;
            scaled(&mut self.recorder, upstream, *factor, &start, accumulate)?;
        }
        let mut uses = self.uses(&gradients);
        let mut masked = vec![false; self.nodes.len()];
        for at in (0..self.nodes.len()).rev() {
            let node = &self.nodes[at];
            let Some(source) = node.source.as_ref().filter(|_| node.needs_gradient) else {
                continue;
            };
            let Some(dy) = gradients[at].take() else { continue };
            self.recorder.scope = source.scope.clone();
            if source.op.rectified() && !masked[at] {
                inplace::mask(&mut self.recorder, &node.value, &dy)?;
            }
            let mut x = Vec::with_capacity(source.inputs.len());
            let mut dx = Vec::with_capacity(source.inputs.len());
            for input in &source.inputs {
                let input_node = &self.nodes[input.0];
                x.push(input_node.value.clone());
                dx.push(input_node.needs_gradient.then(|| {
                    let accumulate = gradients[input.0].is_some();
                    let Value { shape, precision, .. } = &input_node.value;
                    let value = gradients[input.0].get_or_insert_with(|| {
                        self.recorder.temporary_in(*precision, shape.clone())
                    });
                    uses[input.0] -= 1;
                    let mask = uses[input.0] == 0 && source.op.masks() && input_node.rectified();
                    masked[input.0] = mask;
                    Gradient { value: value.clone(), accumulate, mask }
                }));
            }
            let saved = &source.saved;
            let pass = Backward { x: &x, y: &node.value, saved, dy: &dy, dx: &dx };
            source.op.backward(&mut self.recorder, &pass)?;
        }
        Ok(Gradients(gradients))
    }

    /// How often each value is used on the way to the results, which are those that have a gradient, where gradients
    /// flow.
    fn uses(&self, results: &[Option<Value>]) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for at in (0..self.nodes.len()).rev().filter(|at| self.nodes[*at].needs_gradient) {
            // What no later value uses does not matter to the results.
            if let Some(source) =
                self.nodes[at].source.as_ref().filter(|_| results[at].is_some() || uses[at] > 0)
            {
                source.inputs.iter().for_each(|input| uses[input.0] += 1);
            }
        }
        uses
    }

    /// The gradient of a variable, or `None` when the result does not depend on it. Gradients of
    /// other values are scratch memory by the time they could be asked for.
    pub fn gradient(&mut self, gradients: &Gradients, variable: Var) -> Option<Var> {
        let value = gradients.0.get(variable.0)?.clone()?;
        Some(self.push(value, false, None))
    }

    /// The recording with its memory.
    ///
    /// # Errors
    /// As [`Recorder::finish`].
    pub fn finish(self) -> Result<Program> {
        self.recorder.finish()
    }
}

/// The gradients of a result with respect to the tape's variables.
pub struct Gradients(Vec<Option<Value>>);

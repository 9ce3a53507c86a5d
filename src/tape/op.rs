//! A differentiable operation, as the tape sees it.

use crate::error::Result;
use crate::gpu::{Recorder, Value};
use crate::shape::{Precision, Shape};

/// Where a backward dispatch puts a gradient.
#[derive(Clone)]
pub struct Gradient {
    /// The gradient's memory, of the input's shape.
    pub value: Value,
    /// Add to what is there (`+=`) instead of replacing it (`=`).
    pub accumulate: bool,
    /// What is there in the end counts only where the input is above 0; for operations that say they mask.
    pub mask: bool,
}

/// What a forward pass leaves for the way back besides inputs and output: an operation knows its own order. A
/// value here costs memory only where the backward pass is recorded and binds it.
pub type Saved = Vec<Value>;

/// What an operation's backward pass gets.
pub struct Backward<'a> {
    /// The inputs.
    pub x: &'a [Value],
    /// The output.
    pub y: &'a Value,
    /// What the forward pass returned.
    pub saved: &'a [Value],
    /// The output's gradient, masked where the operation is rectified; may be overwritten.
    pub dy: &'a Value,
    /// For every input, where its gradient goes; `None` for frozen ones. An input that occurs twice
    /// is served in this order.
    pub dx: &'a [Option<Gradient>],
}

/// A differentiable operation. One value of the type is one use of it, with its settings.
pub trait Op {
    /// The field's name for it, as in its file's name.
    fn name(&self) -> &'static str;

    /// The output's shape.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the inputs do not fit.
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// How many of its first inputs are maps, which may be stored as f16, all alike; the others are f32.
    fn maps(&self) -> usize {
        0
    }

    /// How the output is stored, for inputs that are stored so: sums and matrices as f32, maps like their first input.
    fn precision(&self, _inputs: &[Precision]) -> Precision {
        Precision::F32
    }

    /// Whether the output is max(·, 0) of something.
    fn rectified(&self) -> bool {
        false
    }

    /// Whether [`Op::backward`] heeds [`Gradient::mask`].
    fn masks(&self) -> bool {
        false
    }

    /// Records the dispatches that compute `y` from `x`, and returns what [`Op::backward`] wants of them.
    ///
    /// # Errors
    /// When a kernel does not compile or a buffer is too large.
    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved>;

    /// Records the dispatches that compute the gradients asked for.
    ///
    /// # Errors
    /// As [`Op::forward`].
    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()>;
}

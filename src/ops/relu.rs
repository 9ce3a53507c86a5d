//! `relu`: max(x, 0).

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::Result;
use crate::gpu::{KernelId, Recorder, Value};
use crate::shape::{Precision, Shape};
use crate::tape::inplace::RELU;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static FORWARD: KernelId = KernelId::new(&RELU, "forward");
static BACKWARD: KernelId = KernelId::new(&RELU, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "relu", shaders: &[&RELU], cases };

/// y = max(x, 0), any shape.
///
/// # Errors
/// As [`Tape::record`].
pub fn relu(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.record(Relu, &[x])
}

#[derive(Clone)]
struct Relu;

impl Op for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn maps(&self) -> usize {
        1
    }

    fn precision(&self, inputs: &[Precision]) -> Precision {
        inputs[0]
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let count = y.shape().elements();
        let call = recorder.kernel(&FORWARD).bind("x", &x[0]).bind("y", y);
        call.set("count", count).set("accumulate", false).over(count)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let count = pass.y.shape().elements();
        let call = recorder.kernel(&BACKWARD).bind("y", pass.y).bind("dy", pass.dy);
        call.bind("dx", &dx.value).set("count", count).set("accumulate", dx.accumulate).over(count)
    }
}

impl Reference for Relu {
    fn reference(&self, x: &[Array]) -> Array {
        x[0].map(|v| v.max(0.0))
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        vec![x[0].zip(dy, |x, dy| if x > 0.0 { dy } else { 0.0 })]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    awkward_maps().into_iter().map(|s| Case::new(Relu, vec![s], "")).collect()
}

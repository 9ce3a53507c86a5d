//! `add`: the sum of two tensors of one shape.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::{Precision, Shape};
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("add");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "add", shaders: &[&SHADER], cases };

/// y = a + b.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ; otherwise as [`Tape::record`].
pub fn add(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.record(Add, &[a, b])
}

#[derive(Clone)]
struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] {
            let what = format!("{} and {} are of different shapes", inputs[0], inputs[1]);
            return Err(Error::Shape { op: "add", what });
        }
        Ok(inputs[0].clone())
    }

    fn maps(&self) -> usize {
        2
    }

    fn precision(&self, inputs: &[Precision]) -> Precision {
        inputs[0]
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let count = y.shape().elements();
        let call = recorder.kernel(&FORWARD).bind("a", &x[0]).bind("b", &x[1]).bind("y", y);
        call.set("count", count).set("accumulate", false).over(count)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let count = pass.y.shape().elements();
        for dx in pass.dx.iter().flatten() {
            let call = recorder.kernel(&BACKWARD).bind("dy", pass.dy).bind("dx", &dx.value);
            call.set("count", count).set("accumulate", dx.accumulate).over(count)?;
        }
        Ok(())
    }
}

impl Reference for Add {
    fn reference(&self, x: &[Array]) -> Array {
        x[0].zip(&x[1], |a, b| a + b)
    }

    fn reference_backward(&self, _: &[Array], dy: &Array) -> Vec<Array> {
        vec![dy.clone(), dy.clone()]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let both = awkward_maps().into_iter().map(|s| Case::new(Add, vec![s.clone(), s], ""));
    both.chain([Case::new(Add, vec![[4, 4].into(), [4, 4].into()], "a frozen").frozen(&[0])])
        .collect()
}

//! `scale`: a constant times a tensor.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::Result;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shader;
use crate::tape::{Backward, Op, Tape, Var};
use crate::tensor::Shape;

pub(super) static SHADER: Shader = shader!("scale");
static RUN: KernelId = KernelId::new(&SHADER, "run");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "scale", shaders: &[&SHADER], cases };

/// y = factor · x.
///
/// # Errors
/// As [`Tape::record`].
pub fn scale(tape: &mut Tape, x: Var, factor: f32) -> Result<Var> {
    tape.record(Scale(factor), &[x])
}

/// Records `to` = or += factor · `from`.
///
/// # Errors
/// As [`Recorder::kernel`].
pub(crate) fn scaled(
    recorder: &mut Recorder,
    from: &Value,
    factor: f32,
    to: &Value,
    accumulate: bool,
) -> Result<()> {
    let count = to.shape().elements();
    let call = recorder.kernel(&RUN)?.bind("x", from).bind("y", to);
    call.set("factor", factor).set("count", count).set("accumulate", accumulate).over(count)
}

#[derive(Clone)]
struct Scale(f32);

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<()> {
        scaled(recorder, &x[0], self.0, y, false)
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        scaled(recorder, pass.dy, self.0, &dx.value, dx.accumulate)
    }
}

impl Reference for Scale {
    fn reference(&self, x: &[Array]) -> Array {
        x[0].map(|v| f64::from(self.0) * v)
    }

    fn reference_backward(&self, _: &[Array], dy: &Array) -> Vec<Array> {
        vec![dy.map(|v| f64::from(self.0) * v)]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    awkward_maps().into_iter().map(|s| Case::new(Scale(-1.7), vec![s], "")).collect()
}

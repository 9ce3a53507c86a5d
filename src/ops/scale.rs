//! `scale`: a constant times a tensor, and `cast`, the same numbers stored otherwise.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::Result;
use crate::gpu::{Recorder, Value};
use crate::shape::{Precision, Shape};
use crate::tape::inplace::{SCALE, scaled};
use crate::tape::{Backward, Op, Saved, Tape, Var};

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "scale", shaders: &[&SCALE], cases };

/// y = factor · x.
///
/// # Errors
/// As [`Tape::record`].
pub fn scale(tape: &mut Tape, x: Var, factor: f32) -> Result<Var> {
    tape.record(Scale { factor, precision: None }, &[x])
}

/// y = x, stored as `precision` says; so is the gradient of each. x itself where it is stored so already.
///
/// # Errors
/// As [`Tape::record`].
pub fn cast(tape: &mut Tape, x: Var, precision: Precision) -> Result<Var> {
    if tape.value(x).precision() == precision {
        return Ok(x);
    }
    tape.record(Scale { factor: 1.0, precision: Some(precision) }, &[x])
}

#[derive(Clone)]
struct Scale {
    factor: f32,
    /// By default that of the input.
    precision: Option<Precision>,
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn maps(&self) -> usize {
        1
    }

    fn precision(&self, inputs: &[Precision]) -> Precision {
        self.precision.unwrap_or(inputs[0])
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        scaled(recorder, &x[0], self.factor, y, false)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        scaled(recorder, pass.dy, self.factor, &dx.value, dx.accumulate)
    }
}

impl Reference for Scale {
    fn reference(&self, x: &[Array]) -> Array {
        x[0].map(|v| f64::from(self.factor) * v)
    }

    fn reference_backward(&self, _: &[Array], dy: &Array) -> Vec<Array> {
        vec![dy.map(|v| f64::from(self.factor) * v)]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    awkward_maps()
        .into_iter()
        .map(|s| Case::new(Scale { factor: -1.7, precision: None }, vec![s], ""))
        .collect()
}

//! `squared_error`: Σ (x − target)², absolute or relative to a number that belongs to the target.

use super::reference::{Array, Reference};
use super::{Case, Entry, shares};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, Frozen, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("squared_error");
static PARTIAL_SUMS: KernelId = KernelId::new(&SHADER, "partial_sums");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "squared_error", shaders: &[&SHADER], cases };

/// The least denominator of a relative error: a flat target has variance 0, and must not give NaN.
pub const FLOOR: f32 = 1e-12;

/// factor · Σ (x − target)², a scalar; with factor 1/n the mean squared error.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ; otherwise as [`Tape::record`].
pub fn absolute_error(tape: &mut Tape, x: Var, target: Var, factor: f32) -> Result<Var> {
    let one = tape.frozen(&Frozen::scalar(1.0));
    tape.record(SquaredError { factor }, &[x, target, one])
}

/// factor · Σ (x − target)² / max(denominator, [`FLOOR`]), a scalar. The denominator is a scalar that
/// gets no gradient: the target's variance (content) or squared norm (style).
///
/// # Errors
/// [`Error::Shape`] when the shapes differ; otherwise as [`Tape::record`].
pub fn relative_error(
    tape: &mut Tape,
    x: Var,
    target: Var,
    denominator: Var,
    factor: f32,
) -> Result<Var> {
    tape.record(SquaredError { factor }, &[x, target, denominator])
}

#[derive(Clone)]
pub(super) struct SquaredError {
    pub(super) factor: f32,
}

impl Op for SquaredError {
    fn name(&self) -> &'static str {
        "squared_error"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let (x, target, denominator) = (inputs[0], inputs[1], inputs[2]);
        if x != target || denominator.elements() != 1 {
            let what = format!("{x} can't be compared with {target} over {denominator}");
            return Err(Error::Shape { op: "squared_error", what });
        }
        Ok(Shape::scalar())
    }

    fn maps(&self) -> usize {
        2
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let shape = x[0].shape();
        let (_, shares) = shares(shape.elements());
        let partials = recorder.temporary([shares]);
        let call = recorder.kernel(&PARTIAL_SUMS).bind("x", &x[0]).bind("goal", &x[1]);
        let call = self.settings(call.bind("partials", &partials), shape);
        call.set("sign", 1.0).set("accumulate", false).groups([shares as u32, 1, 1])?;
        let call = recorder.kernel(&FINISH).bind("partials", &partials).bind("denominator", &x[2]);
        let call = self.settings(call.bind("y", y), shape);
        call.set("sign", 1.0).set("accumulate", false).groups([1, 1, 1])?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        if pass.dx[2].is_some() {
            let what = "the denominator gets no gradient; freeze it".into();
            return Err(Error::Shape { op: "squared_error", what });
        }
        let shape = pass.x[0].shape();
        for (dx, sign) in pass.dx.iter().zip([1.0, -1.0]) {
            let Some(dx) = dx else { continue };
            let call = recorder.kernel(&BACKWARD).bind("x", &pass.x[0]).bind("goal", &pass.x[1]);
            let call = call.bind("denominator", &pass.x[2]).bind("dy", pass.dy);
            let call = self.settings(call.bind("dx", &dx.value), shape);
            call.set("sign", sign).set("accumulate", dx.accumulate).over(shape.elements())?;
        }
        Ok(())
    }
}

impl SquaredError {
    fn settings<'r>(&self, call: Call<'r>, shape: &Shape) -> Call<'r> {
        let (share, shares) = shares(shape.elements());
        let call = call.set("count", shape.elements()).set("share", share).set("partials", shares);
        call.set("factor", self.factor).set("floor", FLOOR)
    }

    fn slope(&self, denominator: &Array) -> f64 {
        f64::from(self.factor) / denominator.data[0].max(f64::from(FLOOR))
    }
}

impl Reference for SquaredError {
    fn reference(&self, x: &[Array]) -> Array {
        let squares = x[0].zip(&x[1], |x, t| (x - t) * (x - t));
        Array::scalar(self.slope(&x[2]) * squares.data.iter().sum::<f64>())
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let slope = 2.0 * dy.data[0] * self.slope(&x[2]);
        let dx = x[0].zip(&x[1], |x, t| slope * (x - t));
        vec![dx.clone(), dx.map(|v| -v), Array::zeros(Shape::scalar())]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let shapes = [[1, 1, 1], [3, 5, 7], [2, 13, 127], [7, 40, 61]].map(Shape::from);
    let case = |s: Shape| {
        let inputs = vec![s.clone(), s, Shape::scalar()];
        Case::new(SquaredError { factor: 0.3 }, inputs, "").frozen(&[2])
    };
    let target_frozen = Case::new(
        SquaredError { factor: 2.0 },
        vec![[5, 5].into(), [5, 5].into(), Shape::scalar()],
        "the target frozen",
    );
    shapes.into_iter().map(case).chain([target_frozen.frozen(&[1, 2])]).collect()
}

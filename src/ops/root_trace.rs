//! `root_trace`: the trace of a matrix's square root, by the coupled Newton–Schulz iteration (Higham, "Functions of
//! Matrices", 2008, section 6.7; for style as in Crowson's style-transfer-pytorch).
//!
//! A root that has not converged is still a smooth function: after k steps, eigenvalues below 1.5⁻²ᵏ of the norm
//! count for less than their roots, and where the root's slope is infinite this one's is 1.5ᵏ. The gradient is
//! exactly that of the value, by a recursion that costs one more product a step and needs nothing kept of the steps.

use super::matmul::{Left, extents};
use super::reference::{Array, Reference};
use super::statistics::square_norm;
use super::{Case, Entry, shares};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("root_trace");
static START: KernelId = KernelId::new(&SHADER, "start");
static ADVANCE: KernelId = KernelId::new(&SHADER, "advance");
static INNER: KernelId = KernelId::new(&SHADER, "inner");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static ROOT: KernelId = KernelId::new(&SHADER, "root");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row. Its products are those of `matmul`.
pub const ENTRY: Entry = Entry { name: "root_trace", shaders: &[&SHADER], cases };

/// Steps of the iteration. In f32 more of them would amplify the rounding of M: what should be 0 and is −1e-7 of
/// the norm grows by 2.25 a step and leaves the iteration's range after 20.
pub const STEPS: usize = 12;

/// Tr(M^½) of a symmetric, positive semidefinite C×C matrix, a scalar.
///
/// # Errors
/// [`Error::Shape`] when M is not square; otherwise as [`Tape::record`].
pub fn root_trace(tape: &mut Tape, matrix: Var) -> Result<Var> {
    tape.record(RootTrace { steps: STEPS }, &[matrix])
}

/// Records M^½ without a gradient.
///
/// # Errors
/// As [`Recorder::kernel`].
pub fn square_root(recorder: &mut Recorder, matrix: &Value) -> Result<Value> {
    let of = Iterated::record(recorder, matrix, STEPS)?;
    let root = recorder.temporary(matrix.shape().clone());
    let call = recorder.kernel(&ROOT).bind("squared_norm", &of.squared_norm).bind("y", &of.y);
    settings(call.bind("root_of_m", &root), of.channels, false).over(of.channels * of.channels)?;
    Ok(root)
}

/// The end of the iteration, as the shader's header has it.
struct Iterated {
    channels: usize,
    squared_norm: Value,
    a: Value,
    y: Value,
    d: Value,
}

impl Iterated {
    fn record(recorder: &mut Recorder, m: &Value, steps: usize) -> Result<Self> {
        let [channels, _] = extents(m.shape())?;
        let squared_norm = square_norm(recorder, m)?;
        let [a, mut z, d, y] = [(); 4].map(|()| recorder.temporary(m.shape().clone()));
        let call = recorder.kernel(&START).bind("m", m).bind("squared_norm", &squared_norm);
        let call = call.bind("a", &a).bind("z", &z).bind("d", &d);
        let mut of = Iterated { channels, squared_norm, a, y, d };
        settings(call, channels, false).over(channels * channels)?;
        Left::plain(&z).pack(recorder)?.times(recorder, &of.a, &of.y, false)?;
        for _ in 1..steps {
            let [zy, y, next, td] = [(); 4].map(|()| recorder.temporary(m.shape().clone()));
            Left::plain(&z).pack(recorder)?.times(recorder, &of.y, &zy, false)?;
            let t = Left { factor: -0.5, diagonal: 1.5, ..Left::plain(&zy) }.pack(recorder)?;
            t.times(recorder, &z, &next, false)?;
            t.times(recorder, &of.d, &td, false)?;
            let half = Left { factor: -0.5, ..Left::plain(&of.y) }.pack(recorder)?;
            half.times(recorder, &zy, &y, false)?;
            let call = recorder.kernel(&ADVANCE).bind("d", &of.d).bind("td", &td);
            let call = call.bind("z", &z).bind("next_z", &next).bind("y", &of.y);
            settings(call.bind("next_y", &y), of.channels, false).over(channels * channels)?;
            (of.y, of.d, z) = (y, td, next);
        }
        Ok(of)
    }
}

fn settings(call: Call<'_>, channels: usize, accumulate: bool) -> Call<'_> {
    let (share, shares) = shares(channels * channels);
    let call = call.set("channels", channels).set("share", share);
    call.set("partials", shares).set("accumulate", accumulate)
}

/// One use of the operation.
#[derive(Clone)]
struct RootTrace {
    steps: usize,
}

impl Op for RootTrace {
    fn name(&self) -> &'static str {
        "root_trace"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        match extents(inputs[0])? {
            [rows, columns] if rows == columns => Ok(Shape::scalar()),
            _ => {
                let what = format!("{} is not square", inputs[0]);
                Err(Error::Shape { op: "root_trace", what })
            }
        }
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let of = Iterated::record(recorder, &x[0], self.steps)?;
        let (_, shares) = shares(x[0].shape().elements());
        let (partials, rest) = (recorder.temporary([shares]), recorder.temporary(Shape::scalar()));
        let call = recorder.kernel(&INNER).bind("a", &of.a).bind("d", &of.d);
        let call = settings(call.bind("partials", &partials), of.channels, false);
        call.groups([shares as u32, 1, 1])?;
        let call = recorder.kernel(&FINISH).bind("squared_norm", &of.squared_norm);
        let call = call.bind("y", &of.y).bind("partials", &partials);
        let call = settings(call.bind("value", y).bind("rest", &rest), of.channels, false);
        call.groups([1, 1, 1])?;
        Ok(vec![of.squared_norm, of.a, of.d, rest])
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dm) = &pass.dx[0] else { return Ok(()) };
        let [squared_norm, a, d, rest] = pass.saved else {
            return Err(Error::Gpu("root_trace: the backward pass comes after the forward".into()));
        };
        let call = recorder.kernel(&BACKWARD).bind("squared_norm", squared_norm);
        let call = call.bind("a", a).bind("d", d).bind("rest", rest);
        let call = call.bind("dvalue", pass.dy).bind("dm", &dm.value);
        let [channels, _] = extents(pass.x[0].shape())?;
        settings(call, channels, dm.accumulate).over(channels * channels)
    }
}

impl RootTrace {
    /// Norm, a, y and dy/da, by the product rule.
    fn reference_of(&self, m: &Array) -> (f64, Array, Array, Array) {
        let c = m.shape.dims()[0];
        let one = Array::from_fn([c, c], |at| f64::from(u8::from(at / c == at % c)));
        let norm = m.data.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
        let a = m.map(|v| v / norm);
        let (mut y, mut z, mut dy, mut dz) = (a.clone(), one.clone(), one.clone(), a.map(|_| 0.0));
        let sum = |a: &Array, b: &Array| a.zip(b, |a, b| a + b);
        for _ in 0..self.steps {
            let t = z.times(&y).zip(&one, |p, one| 1.5 * one - 0.5 * p);
            let dt = sum(&dz.times(&y), &z.times(&dy)).map(|p| -0.5 * p);
            dy = sum(&dy.times(&t), &y.times(&dt));
            dz = sum(&dt.times(&z), &t.times(&dz));
            (y, z) = (y.times(&t), t.times(&z));
        }
        (norm, a, y, dy)
    }
}

/// The sum of the diagonal.
fn trace(m: &Array) -> f64 {
    m.data.iter().step_by(m.shape.dims()[0] + 1).sum()
}

impl Reference for RootTrace {
    fn reference(&self, x: &[Array]) -> Array {
        let (norm, _, y, _) = self.reference_of(&x[0]);
        Array::scalar(norm.sqrt() * trace(&y))
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let (norm, a, y, d) = self.reference_of(&x[0]);
        let rest = 0.5 * trace(&y) - trace(&d.times(&a));
        vec![d.turned().zip(&a, |d, a| dy.data[0] / norm.sqrt() * (d + a * rest))]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

/// Any matrix will do for a few steps, which are polynomials; `tests/ops/root_trace.rs` has whole roots.
fn cases() -> Vec<Case> {
    let case = |(steps, c): (usize, usize)| {
        Case::new(RootTrace { steps }, vec![[c, c].into()], format!("{steps} steps"))
    };
    [(STEPS, 1), (1, 5), (2, 3), (2, 13), (3, 33), (2, 70)].map(case).into()
}

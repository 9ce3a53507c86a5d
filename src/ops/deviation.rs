//! `deviation`: the standard deviation of every channel, from the raw moments.

use super::reference::{Array, Reference};
use super::{Case, Entry};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("deviation");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD_GRAM: KernelId = KernelId::new(&SHADER, "backward_gram");
static BACKWARD_MEAN: KernelId = KernelId::new(&SHADER, "backward_mean");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "deviation", shaders: &[&SHADER], cases };

/// σᵢ = √(max(Gᵢᵢ − μᵢ², 0) + epsilon). G C×C, μ C → C. A variance that rounding made negative counts as 0
/// and has no gradient.
///
/// # Errors
/// [`Error::Shape`] when the moments do not belong together; otherwise as [`Tape::record`].
pub fn deviation(tape: &mut Tape, gram: Var, mean: Var, epsilon: f32) -> Result<Var> {
    tape.record(Deviation { epsilon }, &[gram, mean])
}

#[derive(Clone)]
struct Deviation {
    epsilon: f32,
}

/// Channels of the moments C×C and C, in the name of `op`.
pub(super) fn channels(op: &'static str, gram: &Shape, mean: &Shape) -> Result<usize> {
    match (gram.dims(), mean.dims()) {
        ([a, b], [c]) if a == b && b == c => Ok(*c),
        _ => {
            let what = format!("{gram} and {mean} are no second and first moments");
            Err(Error::Shape { op, what })
        }
    }
}

impl Op for Deviation {
    fn name(&self) -> &'static str {
        "deviation"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok([channels("deviation", inputs[0], inputs[1])?].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let c = y.shape().elements();
        let call = recorder.kernel(&FORWARD).bind("g", &x[0]).bind("mean", &x[1]).bind("y", y);
        let call = call.set("channels", c).set("epsilon", self.epsilon);
        call.set("accumulate", false).over(c)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let c = pass.y.shape().elements();
        let sides = [(&BACKWARD_GRAM, "dg", c * c), (&BACKWARD_MEAN, "dmean", c)];
        for (dx, (kernel, name, count)) in pass.dx.iter().zip(sides) {
            let Some(dx) = dx else { continue };
            let call = recorder.kernel(kernel).bind("g", &pass.x[0]).bind("mean", &pass.x[1]);
            let call = call.bind("dy", pass.dy).bind(name, &dx.value).set("channels", c);
            call.set("epsilon", self.epsilon).set("accumulate", dx.accumulate).over(count)?;
        }
        Ok(())
    }
}

impl Deviation {
    /// Of every channel: variance and deviation.
    fn reference_of(&self, x: &[Array]) -> Vec<(f64, f64)> {
        let c = x[1].data.len();
        let variance = |i: usize| x[0].data[i * c + i] - x[1].data[i] * x[1].data[i];
        let pair = |v: f64| (v, (v.max(0.0) + f64::from(self.epsilon)).sqrt());
        (0..c).map(|i| pair(variance(i))).collect()
    }
}

impl Reference for Deviation {
    fn reference(&self, x: &[Array]) -> Array {
        let of = self.reference_of(x);
        Array::from_fn([of.len()], |i| of[i].1)
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let (of, c) = (self.reference_of(x), dy.data.len());
        let slope = |i: usize| if of[i].0 > 0.0 { dy.data[i] / of[i].1 } else { 0.0 };
        let on_diagonal = |at: usize| if at / c == at % c { 0.5 * slope(at / c) } else { 0.0 };
        vec![Array::from_fn([c, c], on_diagonal), Array::from_fn([c], |i| -slope(i) * x[1].data[i])]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let case = |c: usize| {
        let inputs = vec![[c, c].into(), [c].into()];
        Case::new(Deviation { epsilon: 0.1 }, inputs, "")
    };
    let frozen = |i: usize| case(7).frozen(&[i]);
    [1, 3, 5, 13, 127].map(case).into_iter().chain([frozen(0), frozen(1)]).collect()
}

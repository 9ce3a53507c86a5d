//! `covariance`: the covariance of channels, from the raw moments.

use super::deviation::channels;
use super::reference::{Array, Reference};
use super::{Case, Entry};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("covariance");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD_GRAM: KernelId = KernelId::new(&SHADER, "backward_gram");
static BACKWARD_MEAN: KernelId = KernelId::new(&SHADER, "backward_mean");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "covariance", shaders: &[&SHADER], cases };

/// Σ = scale · (G − μμᵀ) + epsilon · I. G C×C, μ C → C×C.
///
/// # Errors
/// [`crate::Error::Shape`] when the moments do not belong together; otherwise as [`Tape::record`].
pub fn covariance(tape: &mut Tape, gram: Var, mean: Var, scale: f32, epsilon: f32) -> Result<Var> {
    tape.record(Covariance { scale, epsilon }, &[gram, mean])
}

#[derive(Clone)]
struct Covariance {
    scale: f32,
    epsilon: f32,
}

impl Covariance {
    fn settings<'r>(&self, call: Call<'r>, channels: usize, accumulate: bool) -> Call<'r> {
        let call = call.set("channels", channels).set("scale", self.scale);
        call.set("epsilon", self.epsilon).set("accumulate", accumulate)
    }
}

impl Op for Covariance {
    fn name(&self) -> &'static str {
        "covariance"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let c = channels("covariance", inputs[0], inputs[1])?;
        Ok([c, c].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let c = x[1].shape().elements();
        let call = recorder.kernel(&FORWARD).bind("g", &x[0]).bind("mean", &x[1]).bind("y", y);
        self.settings(call, c, false).over(c * c)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let c = pass.x[1].shape().elements();
        if let Some(dg) = &pass.dx[0] {
            let call = recorder.kernel(&BACKWARD_GRAM).bind("dy", pass.dy).bind("dg", &dg.value);
            self.settings(call, c, dg.accumulate).over(c * c)?;
        }
        if let Some(dmean) = &pass.dx[1] {
            let call = recorder.kernel(&BACKWARD_MEAN).bind("mean", &pass.x[1]);
            let call = call.bind("dy", pass.dy).bind("dmean", &dmean.value);
            self.settings(call, c, dmean.accumulate).groups([c as u32, 1, 1])?;
        }
        Ok(())
    }
}

impl Reference for Covariance {
    fn reference(&self, x: &[Array]) -> Array {
        let (g, mean, c) = (&x[0].data, &x[1].data, x[1].data.len());
        let (scale, epsilon) = (f64::from(self.scale), f64::from(self.epsilon));
        Array::from_fn([c, c], |at| {
            let diagonal = if at / c == at % c { epsilon } else { 0.0 };
            scale * (g[at] - mean[at / c] * mean[at % c]) + diagonal
        })
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let (mean, c, scale) = (&x[1].data, x[1].data.len(), f64::from(self.scale));
        let slope = |i: usize, j: usize| dy.data[i * c + j] + dy.data[j * c + i];
        let sum = |i: usize| (0..c).map(|j| slope(i, j) * mean[j]).sum::<f64>();
        vec![dy.map(|v| scale * v), Array::from_fn([c], |i| -scale * sum(i))]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let case = |c: usize| {
        let inputs = vec![[c, c].into(), [c].into()];
        Case::new(Covariance { scale: 1.7, epsilon: 0.3 }, inputs, "")
    };
    let frozen = |i: usize| case(7).frozen(&[i]);
    [1, 3, 5, 13, 127, 300].map(case).into_iter().chain([frozen(0), frozen(1)]).collect()
}

//! `total_variation`: how much neighbouring pixels differ.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps, shares};
use crate::error::Result;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shader;
use crate::tape::{Backward, Op, Tape, Var};
use crate::tensor::Shape;

static SHADER: Shader = shader!("total_variation");
static PARTIAL_SUMS: KernelId = KernelId::new(&SHADER, "partial_sums");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "total_variation", shaders: &[&SHADER], cases };

/// mean(across²) + mean(down²) over all channels, where across and down are the differences of
/// neighbours in a row and in a column. C×H×W → scalar. A mean over nothing is 0.
///
/// # Errors
/// As [`Tape::record`].
pub fn total_variation(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.record(TotalVariation, &[x])
}

#[derive(Clone)]
struct TotalVariation;

/// One over the count of differences across and down; 0 where there are none.
fn weights([c, h, w]: [usize; 3]) -> [f64; 2] {
    let over = |count: usize| if count == 0 { 0.0 } else { 1.0 / count as f64 };
    [over(c * h * (w - 1)), over(c * (h - 1) * w)]
}

fn sizes<'r>(call: Call<'r>, shape: &Shape, accumulate: bool) -> Result<Call<'r>> {
    let [c, h, w] = shape.chw("total_variation")?;
    let [across, down] = weights([c, h, w]);
    let (share, shares) = shares(c * h * w);
    let call = call.set("count", c * h * w).set("height", h).set("width", w);
    let call = call.set("share", share).set("partials", shares).set("accumulate", accumulate);
    Ok(call.set("across", across as f32).set("down", down as f32))
}

impl Op for TotalVariation {
    fn name(&self) -> &'static str {
        "total_variation"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        inputs[0].chw("total_variation")?;
        Ok(Shape::scalar())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<()> {
        let shape = x[0].shape();
        let (_, shares) = shares(shape.elements());
        let partials = recorder.temporary([shares]);
        let call = recorder.kernel(&PARTIAL_SUMS)?.bind("x", &x[0]).bind("partials", &partials);
        sizes(call, shape, false)?.groups([shares as u32, 1, 1])?;
        let call = recorder.kernel(&FINISH)?.bind("partials", &partials).bind("y", y);
        sizes(call, shape, false)?.groups([1, 1, 1])
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let shape = dx.value.shape();
        let call = recorder.kernel(&BACKWARD)?.bind("x", &pass.x[0]).bind("dy", pass.dy);
        sizes(call.bind("dx", &dx.value), shape, dx.accumulate)?.over(shape.elements())
    }
}

/// Visits every pair of neighbours: index, index of the next one, weight.
fn pairs([c, h, w]: [usize; 3], mut visit: impl FnMut(usize, usize, f64)) {
    let [across, down] = weights([c, h, w]);
    for i in 0..c * h * w {
        if i % w + 1 < w {
            visit(i, i + 1, across);
        }
        if i / w % h + 1 < h {
            visit(i, i + w, down);
        }
    }
}

impl Reference for TotalVariation {
    fn reference(&self, x: &[Array]) -> Array {
        let (mut sum, v) = (0.0, &x[0].data);
        pairs(x[0].chw(), |a, b, weight| sum += weight * (v[b] - v[a]) * (v[b] - v[a]));
        Array::scalar(sum)
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let (mut dx, v) = (Array::zeros(x[0].shape.clone()), &x[0].data);
        pairs(x[0].chw(), |a, b, weight| {
            let slope = 2.0 * dy.data[0] * weight * (v[b] - v[a]);
            dx.data[b] += slope;
            dx.data[a] -= slope;
        });
        vec![dx]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let large = [[3, 61, 127].into()];
    awkward_maps()
        .into_iter()
        .chain(large)
        .map(|s| Case::new(TotalVariation, vec![s], ""))
        .collect()
}

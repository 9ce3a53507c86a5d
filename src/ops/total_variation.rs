//! `total_variation`: how much neighbouring pixels differ.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps, shares};
use crate::error::{Error, Result};
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shader;
use crate::tape::{Backward, Op, Tape, Var};
use crate::tensor::{Frozen, Shape};

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
    let [_, h, w] = tape.shape(x).chw("total_variation")?;
    let window = tape.frozen(&Frozen::new([4], vec![0.0, 0.0, w as f32, h as f32])?);
    tape.record(TotalVariation { of: None }, &[x, window])
}

/// What a part of a larger picture contributes to its [`total_variation`]: the differences that belong to the pixels
/// inside `window`, 4 numbers: left, top, right, bottom. `of` is the larger picture's height and width.
///
/// # Errors
/// As [`Tape::record`].
pub fn partial_variation(tape: &mut Tape, x: Var, window: Var, of: [usize; 2]) -> Result<Var> {
    tape.record(TotalVariation { of: Some(of) }, &[x, window])
}

/// Inputs: the map and the window.
#[derive(Clone)]
struct TotalVariation {
    of: Option<[usize; 2]>,
}

impl TotalVariation {
    /// One over the count of differences across and down; 0 where there are none.
    fn weights(&self, [c, h, w]: [usize; 3]) -> [f64; 2] {
        let [h, w] = self.of.unwrap_or([h, w]);
        let over = |count: usize| if count == 0 { 0.0 } else { 1.0 / count as f64 };
        [over(c * h * (w - 1)), over(c * (h - 1) * w)]
    }

    fn sizes<'r>(&self, call: Call<'r>, shape: &Shape, accumulate: bool) -> Result<Call<'r>> {
        let [c, h, w] = shape.chw("total_variation")?;
        let [across, down] = self.weights([c, h, w]);
        let (share, shares) = shares(c * h * w);
        let call = call.set("count", c * h * w).set("height", h).set("width", w);
        let call = call.set("share", share).set("partials", shares).set("accumulate", accumulate);
        Ok(call.set("across", across as f32).set("down", down as f32))
    }

    /// Visits every pair of neighbours that counts: index, index of the next one, weight.
    fn pairs(&self, x: &[Array], mut visit: impl FnMut(usize, usize, f64)) {
        let [c, h, w] = x[0].chw();
        let [across, down] = self.weights([c, h, w]);
        let window = &x[1].data;
        for i in 0..c * h * w {
            let (column, row) = (i % w, i / w % h);
            let inside = |at: usize, low: f64, high: f64| (low..high).contains(&(at as f64));
            if !(inside(column, window[0], window[2]) && inside(row, window[1], window[3])) {
                continue;
            }
            if column + 1 < w {
                visit(i, i + 1, across);
            }
            if row + 1 < h {
                visit(i, i + w, down);
            }
        }
    }
}

impl Op for TotalVariation {
    fn name(&self) -> &'static str {
        "total_variation"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        inputs[0].chw("total_variation")?;
        if inputs[1].dims() != [4] {
            let what = format!("a window has 4 numbers, not {}", inputs[1]);
            return Err(Error::Shape { op: "total_variation", what });
        }
        Ok(Shape::scalar())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<()> {
        let shape = x[0].shape();
        let (_, shares) = shares(shape.elements());
        let partials = recorder.temporary([shares]);
        let call = recorder.kernel(&PARTIAL_SUMS)?.bind("x", &x[0]).bind("partials", &partials);
        let call = call.bind("window", &x[1]);
        self.sizes(call, shape, false)?.groups([shares as u32, 1, 1])?;
        let call = recorder.kernel(&FINISH)?.bind("partials", &partials).bind("y", y);
        self.sizes(call, shape, false)?.groups([1, 1, 1])
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let shape = dx.value.shape();
        let call = recorder.kernel(&BACKWARD)?.bind("x", &pass.x[0]).bind("dy", pass.dy);
        let call = call.bind("window", &pass.x[1]);
        self.sizes(call.bind("dx", &dx.value), shape, dx.accumulate)?.over(shape.elements())
    }
}

impl Reference for TotalVariation {
    fn reference(&self, x: &[Array]) -> Array {
        let (mut sum, v) = (0.0, &x[0].data);
        self.pairs(x, |a, b, weight| sum += weight * (v[b] - v[a]) * (v[b] - v[a]));
        Array::scalar(sum)
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let (mut dx, v) = (Array::zeros(x[0].shape.clone()), &x[0].data);
        self.pairs(x, |a, b, weight| {
            let slope = 2.0 * dy.data[0] * weight * (v[b] - v[a]);
            dx.data[b] += slope;
            dx.data[a] -= slope;
        });
        vec![dx, Array::zeros([4])]
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
        .map(|s| Case::new(TotalVariation { of: None }, vec![s, [4].into()], "").frozen(&[1]))
        .collect()
}

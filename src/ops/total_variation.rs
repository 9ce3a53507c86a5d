//! `total_variation`: how much neighbouring pixels differ.

use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site, awkward_maps, shares};
use crate::error::{Error, Result, names};
use crate::gpu::shader;
use crate::gpu::{Call, Frozen, KernelId, Recorder, Shader, Value};
use crate::shape::{Shape, Wrap};
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("total_variation");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "total_variation", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// What is summed over the differences across and down of neighbours in a row and in a column, over all channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variation {
    /// mean(across²) + mean(down²). A mean over nothing is 0.
    #[default]
    Squares,
    /// Σ |across| + Σ |down|, which grows with the picture.
    Absolute,
    /// 2 (mean(across²)/3 + mean(down²)/3 + mean(diagonal²)/12 + mean(other diagonal²)/12) over a map in which the
    /// outermost pixels are repeated once, so that a picture's corners and edges count like its inside.
    Nine,
}

names!(Variation, "total variation", Squares = "squares", Absolute = "absolute", Nine = "nine");

impl Variation {
    /// One of the shader's two kernels that look at the pixels.
    fn kernel(self, backward: bool) -> &'static KernelId {
        const fn kernel(
            entry: &'static str,
            constants: &'static [(&'static str, f64)],
        ) -> KernelId {
            KernelId { shader: &SHADER, entry, constants }
        }
        static SUMS: [KernelId; 3] = [
            kernel("partial_sums", &[]),
            kernel("partial_sums", &[("ABSOLUTE", 1.0)]),
            kernel("partial_sums", &[("NINE", 1.0)]),
        ];
        static BACKWARD: [KernelId; 3] = [
            kernel("backward", &[]),
            kernel("backward", &[("ABSOLUTE", 1.0)]),
            kernel("backward", &[("NINE", 1.0)]),
        ];
        &(if backward { &BACKWARD } else { &SUMS })[self as usize]
    }
}

/// The total variation of a map. C×H×W → scalar. Where edges meet, there is a step from one to the other, and no pixel is
/// repeated.
///
/// # Errors
/// As [`Tape::record`].
pub fn total_variation(tape: &mut Tape, x: Var, kind: Variation, wrap: Wrap) -> Result<Var> {
    let [_, h, w] = tape.shape(x).chw("total_variation")?;
    let frame = tape.frozen(&Frozen::new([8], whole(h, w).to_vec())?);
    tape.record(TotalVariation { kind, wrap, of: None }, &[x, frame])
}

/// What a part of a picture contributes to its [`total_variation`]: the steps that belong to the pixels inside a
/// window. `frame` has 8 numbers: the window's left, top, right and bottom in the part, the part's column and row in
/// the picture, and the picture's width and height, which are those in `of`, too.
///
/// # Errors
/// As [`Tape::record`].
pub fn partial_variation(
    tape: &mut Tape,
    x: Var,
    kind: Variation,
    frame: Var,
    of: (usize, usize),
) -> Result<Var> {
    tape.record(TotalVariation { kind, wrap: Wrap::None, of: Some(of) }, &[x, frame])
}

/// The frame of a whole picture.
fn whole(h: usize, w: usize) -> [f32; 8] {
    [0, 0, w, h, 0, 0, w, h].map(|number| number as f32)
}

/// Inputs: the map and its frame.
#[derive(Clone)]
struct TotalVariation {
    kind: Variation,
    wrap: Wrap,
    /// Width and height of the picture of which the map is a part.
    of: Option<(usize, usize)>,
}

/// Factors of the steps across, down and diagonally, and what those along an edge have besides.
struct Weights {
    across: f64,
    down: f64,
    edge_across: f64,
    edge_down: f64,
    diagonal: f64,
}

impl TotalVariation {
    fn weights(&self, [c, h, w]: [usize; 3]) -> Weights {
        let (w, h) = self.of.unwrap_or((w, h));
        let over = |count: usize| if count == 0 { 0.0 } else { 1.0 / count as f64 };
        let plain = |across, down| {
            let (edge_across, edge_down, diagonal) = (0.0, 0.0, 0.0);
            Weights { across, down, edge_across, edge_down, diagonal }
        };
        let [x, y] = [self.wrap.x(), self.wrap.y()].map(usize::from);
        match self.kind {
            Variation::Squares => plain(over(c * h * (w + x - 1)), over(c * (h + y - 1) * w)),
            Variation::Absolute => plain(1.0, 1.0),
            Variation::Nine => {
                let (inside, around) = (over(c * h * w), over(c * (h + 1 - y) * (w + 1 - x)));
                let straight = 2.0 / 3.0 * inside;
                // Beyond an edge that meets no other both diagonals become steps along it.
                let edge = |meets: usize| if meets == 0 { around / 3.0 } else { 0.0 };
                let (edge_across, edge_down, diagonal) = (edge(y), edge(x), around / 6.0);
                Weights { across: straight, down: straight, edge_across, edge_down, diagonal }
            }
        }
    }

    fn sizes<'r>(&self, call: Call<'r>, shape: &Shape, accumulate: bool) -> Result<Call<'r>> {
        let [c, h, w] = shape.chw("total_variation")?;
        let weights = self.weights([c, h, w]);
        let (share, shares) = shares(c * h * w);
        let call = call.set("count", c * h * w).set("height", h).set("width", w);
        let call = call.set("share", share).set("partials", shares).set("accumulate", accumulate);
        let call = call.set("across", weights.across as f32).set("down", weights.down as f32);
        let call = call.set("edge_across", weights.edge_across as f32);
        let call = call.set("edge_down", weights.edge_down as f32);
        let call = call.set("diagonal", weights.diagonal as f32);
        Ok(call.set("wrap_x", self.wrap.x()).set("wrap_y", self.wrap.y()))
    }
}

impl Op for TotalVariation {
    fn name(&self) -> &'static str {
        "total_variation"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        inputs[0].chw("total_variation")?;
        if inputs[1].dims() != [8] {
            let what = format!("a frame has 8 numbers, not {}", inputs[1]);
            return Err(Error::Shape { op: "total_variation", what });
        }
        Ok(Shape::scalar())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let shape = x[0].shape();
        let (_, shares) = shares(shape.elements());
        let partials = recorder.temporary([shares]);
        let call = recorder.kernel(self.kind.kernel(false)).bind("x", &x[0]);
        let call = call.bind("frame", &x[1]).bind("partials", &partials);
        self.sizes(call, shape, false)?.groups([shares as u32, 1, 1])?;
        let call = recorder.kernel(&FINISH).bind("partials", &partials).bind("y", y);
        self.sizes(call, shape, false)?.groups([1, 1, 1])?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let shape = dx.value.shape();
        let call = recorder.kernel(self.kind.kernel(true)).bind("x", &pass.x[0]);
        let call = call.bind("frame", &pass.x[1]).bind("dy", pass.dy);
        self.sizes(call.bind("dx", &dx.value), shape, dx.accumulate)?.over(shape.elements())
    }
}

impl TotalVariation {
    /// Visits every step that counts: index, index of the next pixel, weight.
    fn steps(&self, x: &[Array], mut visit: impl FnMut(usize, usize, f64)) {
        let [c, h, w] = x[0].chw();
        let Weights { across, down, edge_across, edge_down, diagonal } = self.weights([c, h, w]);
        let frame = &x[1].data;
        let at_edge =
            |at: f64, count: f64| f64::from(u8::from(at == 0.0) + u8::from(at + 1.0 == count));
        for i in 0..c * h * w {
            let (column, row) = (i % w, i / w % h);
            let (at_x, at_y) = (column as f64, row as f64);
            if !((frame[0]..frame[2]).contains(&at_x) && (frame[1]..frame[3]).contains(&at_y)) {
                continue;
            }
            let plane = i - row * w - column;
            let (right, below) = ((column + 1) % w, (row + 1) % h);
            let at = |row: usize, column: usize| plane + row * w + column;
            let is_right = right > 0 || self.wrap.x();
            let is_below = below > 0 || self.wrap.y();
            if is_right {
                let weight = across + edge_across * at_edge(at_y + frame[5], frame[7]);
                visit(i, at(row, right), weight);
            }
            if is_below {
                let weight = down + edge_down * at_edge(at_x + frame[4], frame[6]);
                visit(i, at(below, column), weight);
            }
            if is_right && is_below {
                visit(i, at(below, right), diagonal);
                visit(at(row, right), at(below, column), diagonal);
            }
        }
    }
}

impl Reference for TotalVariation {
    fn reference(&self, x: &[Array]) -> Array {
        let (mut sum, v) = (0.0, &x[0].data);
        let power = if self.kind == Variation::Absolute { 1 } else { 2 };
        self.steps(x, |a, b, weight| {
            sum += weight * (v[b] - v[a]).abs().powi(power);
        });
        Array::scalar(sum)
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let (mut dx, v) = (Array::zeros(x[0].shape.clone()), &x[0].data);
        self.steps(x, |a, b, weight| {
            let step = v[b] - v[a];
            let slope = if self.kind == Variation::Absolute { step.signum() } else { 2.0 * step };
            dx.data[b] += dy.data[0] * weight * slope;
            dx.data[a] -= dy.data[0] * weight * slope;
        });
        vec![dx, Array::zeros([8])]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    let picture = site.picture()?;
    let frame = whole(site.size[0], site.size[1]).to_vec();
    let variation = TotalVariation { kind: Variation::Squares, wrap: Wrap::None, of: None };
    Some(Case::new(variation, vec![picture, [8].into()], "").with(1, frame))
}

fn cases() -> Vec<Case> {
    let shapes = || awkward_maps().into_iter().chain([[3, 61, 127].into()]);
    let of = |(kind, wrap): (Variation, Wrap)| {
        shapes().map(move |s| {
            let dims = s.dims();
            let frame = whole(dims[1], dims[2]).to_vec();
            let note = format!("{kind}, wrap {wrap}");
            let variation = TotalVariation { kind, wrap, of: None };
            Case::new(variation, vec![s, [8].into()], note).with(1, frame)
        })
    };
    let kinds = Variation::ALL.into_iter();
    kinds.flat_map(|kind| Wrap::ALL.map(|wrap| (kind, wrap))).flat_map(of).collect()
}

//! `total_variation`: how much neighbouring pixels differ.

use std::fmt;
use std::str::FromStr;

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps, shares};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, Frozen, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("total_variation");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "total_variation", shaders: &[&SHADER], cases };

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

impl Variation {
    /// All, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Squares, Self::Absolute, Self::Nine];

    /// `squares`, `absolute` or `nine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Squares => "squares",
            Self::Absolute => "absolute",
            Self::Nine => "nine",
        }
    }

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

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Variation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Usage(format!("total variation `{name}` is unknown; choose one of {names}"))
        })
    }
}

/// The total variation of a map. C×H×W → scalar.
///
/// # Errors
/// As [`Tape::record`].
pub fn total_variation(tape: &mut Tape, x: Var, kind: Variation) -> Result<Var> {
    let [_, h, w] = tape.shape(x).chw("total_variation")?;
    let frame = tape.frozen(&Frozen::new([8], whole(h, w).to_vec())?);
    tape.record(TotalVariation { kind, of: None }, &[x, frame])
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
    tape.record(TotalVariation { kind, of: Some(of) }, &[x, frame])
}

/// The frame of a whole picture.
fn whole(h: usize, w: usize) -> [f32; 8] {
    [0, 0, w, h, 0, 0, w, h].map(|number| number as f32)
}

/// Inputs: the map and its frame.
#[derive(Clone)]
struct TotalVariation {
    kind: Variation,
    /// Width and height of the picture of which the map is a part.
    of: Option<(usize, usize)>,
}

/// Factors of the steps across, down, along an edge and diagonally.
struct Weights {
    across: f64,
    down: f64,
    edge: f64,
    diagonal: f64,
}

impl TotalVariation {
    fn weights(&self, [c, h, w]: [usize; 3]) -> Weights {
        let (w, h) = self.of.unwrap_or((w, h));
        let over = |count: usize| if count == 0 { 0.0 } else { 1.0 / count as f64 };
        let plain = |across, down| Weights { across, down, edge: 0.0, diagonal: 0.0 };
        match self.kind {
            Variation::Squares => plain(over(c * h * (w - 1)), over(c * (h - 1) * w)),
            Variation::Absolute => plain(1.0, 1.0),
            Variation::Nine => {
                let (inside, around) = (over(c * h * w), over(c * (h + 1) * (w + 1)));
                let straight = 2.0 / 3.0 * inside;
                // Beyond an edge both diagonals become steps along it.
                let (edge, diagonal) = (around / 3.0, around / 6.0);
                Weights { across: straight, down: straight, edge, diagonal }
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
        Ok(call.set("edge", weights.edge as f32).set("diagonal", weights.diagonal as f32))
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
        let Weights { across, down, edge, diagonal } = self.weights([c, h, w]);
        let frame = &x[1].data;
        let at_edge =
            |at: f64, count: f64| f64::from(u8::from(at == 0.0) + u8::from(at + 1.0 == count));
        for i in 0..c * h * w {
            let (column, row) = (i % w, i / w % h);
            let (at_x, at_y) = (column as f64, row as f64);
            if !((frame[0]..frame[2]).contains(&at_x) && (frame[1]..frame[3]).contains(&at_y)) {
                continue;
            }
            let (right, below) = (column + 1 < w, row + 1 < h);
            if right {
                visit(i, i + 1, across + edge * at_edge(at_y + frame[5], frame[7]));
            }
            if below {
                visit(i, i + w, down + edge * at_edge(at_x + frame[4], frame[6]));
            }
            if right && below {
                visit(i, i + w + 1, diagonal);
                visit(i + 1, i + w, diagonal);
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

fn cases() -> Vec<Case> {
    let shapes = || awkward_maps().into_iter().chain([[3, 61, 127].into()]);
    let of = |kind: Variation| {
        shapes().map(move |s| {
            let dims = s.dims();
            let frame = whole(dims[1], dims[2]).to_vec();
            Case::new(TotalVariation { kind, of: None }, vec![s, [8].into()], kind.name())
                .with(1, frame)
        })
    };
    Variation::ALL.into_iter().flat_map(of).collect()
}

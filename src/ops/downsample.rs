//! `downsample`: a picture at half its size, without aliases: a level of a Gaussian pyramid (Burt and Adelson, "The
//! Laplacian Pyramid as a Compact Image Code", 1983).
//!
//! The weights along each axis are 1, 3, 3 and 1, over 8: like means of 2×2 pixels they keep what is between two pixels
//! between them, and every pixel counts as much as the next; finer patterns than the half can hold are weakened more.
//! Numbers are summed as they are coded: sums of light gave the same pictures (docs/OPTIMISERS.md, "Octaves").

use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::{Shape, Wrap};
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("downsample");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The weights of a window's pixels along an axis.
pub const WEIGHTS: [f64; 4] = [0.125, 0.375, 0.375, 0.125];
/// What a window is along an axis: pixels, pixels from one to the next, and pixels beyond each edge.
pub const WINDOW: [usize; 3] = [4, 2, 1];

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "downsample", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// The picture at half its size. C×H×W → C×⌊H/2⌋×⌊W/2⌋. Beyond an edge are the pixels at it, or, where edges meet, those of the
/// other side.
///
/// # Errors
/// [`Error::Shape`] when a side is shorter than 2, or odd between edges that meet; otherwise as [`Tape::record`].
pub fn downsample(tape: &mut Tape, x: Var, wrap: Wrap) -> Result<Var> {
    tape.record(Downsample { wrap }, &[x])
}

#[derive(Clone)]
struct Downsample {
    wrap: Wrap,
}

impl Op for Downsample {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, h, w] = inputs[0].chw("downsample")?;
        if h < 2 || w < 2 {
            let what = format!("{} has no half: both sides must be 2 or more", inputs[0]);
            return Err(Error::Shape { op: "downsample", what });
        }
        if (self.wrap.x() && w % 2 == 1) || (self.wrap.y() && h % 2 == 1) {
            let what = format!("{} has no half whose edges meet: take even sides", inputs[0]);
            return Err(Error::Shape { op: "downsample", what });
        }
        Ok([c, h / 2, w / 2].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let call = recorder.kernel(&FORWARD).bind("x", &x[0]).bind("y", y);
        let call = self.sizes(call, x[0].shape(), y.shape())?.set("accumulate", false);
        let count = y.shape().elements();
        call.set("count", count).over(count)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let call = recorder.kernel(&BACKWARD).bind("dy", pass.dy).bind("dx", &dx.value);
        let call = self.sizes(call, pass.x[0].shape(), pass.y.shape())?;
        let count = pass.x[0].shape().elements();
        call.set("count", count).set("accumulate", dx.accumulate).over(count)
    }
}

impl Downsample {
    fn sizes<'r>(&self, call: Call<'r>, x: &Shape, y: &Shape) -> Result<Call<'r>> {
        let ([_, h, w], [_, oh, ow]) = (x.chw("downsample")?, y.chw("downsample")?);
        let call = call.set("height", h).set("width", w).set("out_height", oh).set("out_width", ow);
        Ok(call.set("wrap_x", self.wrap.x()).set("wrap_y", self.wrap.y()))
    }

    /// Visits every pixel of every window: its index in the output, the pixel's in the input, and its weight.
    fn each(&self, [c, h, w]: [usize; 3], mut visit: impl FnMut(usize, usize, f64)) {
        let pixel = |to: usize, tap: usize, length: usize, wraps: bool| match wraps {
            true => (2 * to + tap + length - 1) % length,
            false => (2 * to + tap).saturating_sub(1).min(length - 1),
        };
        for at in 0..c * (h / 2) * (w / 2) {
            let (channel, row, column) =
                (at / (w / 2) / (h / 2), at / (w / 2) % (h / 2), at % (w / 2));
            for (r, down) in WEIGHTS.iter().enumerate() {
                for (s, across) in WEIGHTS.iter().enumerate() {
                    let y = pixel(row, r, h, self.wrap.y());
                    let x = pixel(column, s, w, self.wrap.x());
                    visit(at, (channel * h + y) * w + x, down * across);
                }
            }
        }
    }
}

impl Reference for Downsample {
    fn reference(&self, x: &[Array]) -> Array {
        let [c, h, w] = x[0].chw();
        let mut y = Array::zeros([c, h / 2, w / 2]);
        self.each(x[0].chw(), |at, pixel, weight| y.data[at] += weight * x[0].data[pixel]);
        y
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let mut dx = Array::zeros(x[0].shape.clone());
        self.each(x[0].chw(), |at, pixel, weight| dx.data[pixel] += weight * dy.data[at]);
        vec![dx]
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        // Sixteen products and sums for every window of four pixels.
        8 * inputs[0].elements() as u64
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    Some(Case::new(Downsample { wrap: Wrap::None }, vec![site.picture()?], ""))
}

fn cases() -> Vec<Case> {
    let shapes = [
        [1, 2, 2],
        [3, 2, 7],
        [2, 3, 3],
        [3, 13, 4],
        [3, 16, 16],
        [1, 5, 127],
        [3, 41, 6],
        [1, 2, 126],
    ];
    let of = |wrap: Wrap| {
        let shapes = shapes
            .into_iter()
            .filter(move |[_, h, w]| (!wrap.x() || w % 2 == 0) && (!wrap.y() || h % 2 == 0));
        shapes.map(move |s| Case::new(Downsample { wrap }, vec![s.into()], format!("wrap {wrap}")))
    };
    Wrap::ALL.into_iter().flat_map(of).collect()
}

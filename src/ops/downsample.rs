//! `downsample`: a picture at half its size, without aliases: a level of a Gaussian pyramid (Burt and Adelson, "The
//! Laplacian Pyramid as a Compact Image Code", 1983).
//!
//! The weights along each axis are 1, 3, 3 and 1, over 8: like means of 2×2 pixels they keep what is between two pixels
//! between them, and every pixel counts as much as the next. Means let fine patterns through, which came back as dots in
//! plain areas.

use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("downsample");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The weights of a window's pixels along an axis.
const WEIGHTS: [f64; 4] = [0.125, 0.375, 0.375, 0.125];
/// What a window is along an axis: pixels, pixels from one to the next, and pixels beyond each edge.
pub const WINDOW: [usize; 3] = [4, 2, 1];

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "downsample", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// What is summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Light {
    /// The numbers as they are.
    #[default]
    Coded,
    /// The light that they stand for, coded as sRGB.
    Linear,
}

/// The picture at half its size. C×H×W → C×⌊H/2⌋×⌊W/2⌋.
///
/// # Errors
/// [`Error::Shape`] when a side is shorter than 2; otherwise as [`Tape::record`].
pub fn downsample(tape: &mut Tape, x: Var, light: Light) -> Result<Var> {
    tape.record(Downsample { light }, &[x])
}

#[derive(Clone)]
struct Downsample {
    light: Light,
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
        Ok([c, h / 2, w / 2].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let ([_, h, w], [_, oh, ow]) =
            (x[0].shape().chw("downsample")?, y.shape().chw("downsample")?);
        let count = y.shape().elements();
        let call = recorder.kernel(&FORWARD).bind("x", &x[0]).bind("y", y);
        let call = call.set("height", h).set("width", w).set("out_height", oh).set("out_width", ow);
        let call = call.set("linear", self.light == Light::Linear).set("accumulate", false);
        call.set("count", count).over(count)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let (x, y) = (&pass.x[0], pass.y);
        let ([_, h, w], [_, oh, ow]) = (x.shape().chw("downsample")?, y.shape().chw("downsample")?);
        let count = x.shape().elements();
        let call = recorder.kernel(&BACKWARD).bind("x", x).bind("result", y).bind("dy", pass.dy);
        let call = call.bind("dx", &dx.value).set("height", h).set("width", w);
        let call = call.set("out_height", oh).set("out_width", ow).set("count", count);
        let call = call.set("linear", self.light == Light::Linear);
        call.set("accumulate", dx.accumulate).over(count)
    }
}

impl Light {
    fn of(self, coded: f64) -> f64 {
        match self {
            Light::Coded => coded,
            Light::Linear if coded <= 0.04045 => coded / 12.92,
            Light::Linear => ((coded + 0.055) / 1.055).powf(2.4),
        }
    }

    fn code(self, light: f64) -> f64 {
        match self {
            Light::Coded => light,
            Light::Linear if light <= 0.003_130_8 => light * 12.92,
            Light::Linear => 1.055 * light.powf(1.0 / 2.4) - 0.055,
        }
    }

    /// The derivative of [`Light::of`].
    fn slope(self, coded: f64) -> f64 {
        match self {
            Light::Coded => 1.0,
            Light::Linear if coded <= 0.04045 => 1.0 / 12.92,
            Light::Linear => 2.4 / 1.055 * ((coded + 0.055) / 1.055).powf(1.4),
        }
    }
}

/// Visits every pixel of every window: its index in the output, the pixel's in the input, and its weight.
fn each([c, h, w]: [usize; 3], mut visit: impl FnMut(usize, usize, f64)) {
    let pixel =
        |to: usize, tap: usize, length: usize| (2 * to + tap).saturating_sub(1).min(length - 1);
    for at in 0..c * (h / 2) * (w / 2) {
        let (channel, row, column) = (at / (w / 2) / (h / 2), at / (w / 2) % (h / 2), at % (w / 2));
        for (r, down) in WEIGHTS.iter().enumerate() {
            for (s, across) in WEIGHTS.iter().enumerate() {
                let (y, x) = (pixel(row, r, h), pixel(column, s, w));
                visit(at, (channel * h + y) * w + x, down * across);
            }
        }
    }
}

impl Reference for Downsample {
    fn reference(&self, x: &[Array]) -> Array {
        let [c, h, w] = x[0].chw();
        let mut y = Array::zeros([c, h / 2, w / 2]);
        each(x[0].chw(), |at, pixel, weight| {
            y.data[at] += weight * self.light.of(x[0].data[pixel])
        });
        y.map(|light| self.light.code(light))
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let y = self.reference(x);
        let mut dx = Array::zeros(x[0].shape.clone());
        each(x[0].chw(), |at, pixel, weight| {
            let slopes = self.light.slope(x[0].data[pixel]) / self.light.slope(y.data[at]);
            dx.data[pixel] += dy.data[at] * weight * slopes;
        });
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
    Some(Case::new(Downsample { light: Light::Coded }, vec![site.picture()?], ""))
}

fn cases() -> Vec<Case> {
    let shapes =
        [[1, 2, 2], [3, 2, 7], [2, 3, 3], [3, 13, 4], [3, 16, 16], [1, 5, 127], [3, 41, 6]];
    let case = |light| {
        shapes
            .map(|shape| Case::new(Downsample { light }, vec![shape.into()], format!("{light:?}")))
    };
    [Light::Coded, Light::Linear].into_iter().flat_map(case).collect()
}

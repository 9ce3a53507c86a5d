//! `cosine_distance`: how far the vectors of a map point away from those of another (Kolkin et al., "Neural Neighbor
//! Style Transfer", arXiv 2203.13215, section 3.2).

use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("cosine_distance");
static MEASURE: KernelId = KernelId::new(&SHADER, "measure");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// Places that a workgroup measures.
const LANES: usize = 256;
/// A shorter vector has no direction.
pub const FLOOR: f32 = 1e-8;

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "cosine_distance", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// factor · Σ weight · (1 − cos) over the places of two maps, a scalar: cos is that of the angle between their vectors of
/// channels. A place where one of both is shorter than [`FLOOR`] has a distance of 1 and no gradient. C×H×W twice, and
/// 1×H×W weights, which get no gradient.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ; otherwise as [`Tape::record`].
pub fn cosine_distance(
    tape: &mut Tape,
    [x, target]: [Var; 2],
    weight: Var,
    factor: f32,
) -> Result<Var> {
    tape.record(CosineDistance { factor }, &[x, target, weight])
}

#[derive(Clone)]
struct CosineDistance {
    factor: f32,
}

impl CosineDistance {
    fn settings<'r>(&self, call: Call<'r>, [c, n]: [usize; 2]) -> Call<'r> {
        let call = call.set("count", c * n).set("channels", c).set("places", n);
        let call = call.set("partials", n.div_ceil(LANES)).set("factor", self.factor);
        call.set("floor", FLOOR)
    }
}

/// Channels and places.
fn extents(shape: &Shape) -> Result<[usize; 2]> {
    let [c, h, w] = shape.chw("cosine_distance")?;
    Ok([c, h * w])
}

impl Op for CosineDistance {
    fn name(&self) -> &'static str {
        "cosine_distance"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        extents(inputs[0])?;
        if inputs[0] != inputs[1] {
            let what = format!("{} can't be compared with {}", inputs[0], inputs[1]);
            return Err(Error::Shape { op: "cosine_distance", what });
        }
        let [_, h, w] = inputs[0].chw("cosine_distance")?;
        if inputs[2].dims() != [1, h, w] {
            let what = format!("{} are no weights of {h}×{w} places", inputs[2]);
            return Err(Error::Shape { op: "cosine_distance", what });
        }
        Ok(Shape::scalar())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let [c, n] = extents(x[0].shape())?;
        let about = recorder.temporary([2, n]);
        let partials = recorder.temporary([n.div_ceil(LANES)]);
        let call = recorder.kernel(&MEASURE).bind("x", &x[0]).bind("goal", &x[1]);
        let call = call.bind("weight", &x[2]).bind("about", &about).bind("partials", &partials);
        self.settings(call, [c, n]).set("accumulate", false).over(n)?;
        let call = recorder.kernel(&FINISH).bind("partials", &partials).bind("y", y);
        self.settings(call, [c, n]).set("accumulate", false).groups([1, 1, 1])?;
        Ok(vec![about])
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        if pass.dx[1].is_some() || pass.dx[2].is_some() {
            let what = "target and weights get no gradient; freeze them".into();
            return Err(Error::Shape { op: "cosine_distance", what });
        }
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let [c, n] = extents(dx.value.shape())?;
        let call = recorder.kernel(&BACKWARD).bind("x", &pass.x[0]).bind("goal", &pass.x[1]);
        let call = call.bind("weight", &pass.x[2]).bind("about", &pass.saved[0]);
        let call = call.bind("dy", pass.dy).bind("dx", &dx.value);
        self.settings(call, [c, n]).set("accumulate", dx.accumulate).over(c * n)
    }
}

/// Σ a·b over the channels of a place.
fn product(a: &Array, b: &Array, place: usize) -> f64 {
    let [c, h, w] = a.chw();
    (0..c).map(|c| c * h * w + place).map(|at| a.data[at] * b.data[at]).sum()
}

/// 1/(‖x‖·‖target‖) and cos/‖x‖² of a place, or zeros.
fn about(x: &[Array], place: usize) -> [f64; 2] {
    let [own, other] = [&x[0], &x[1]].map(|v| product(v, v, place));
    if own.min(other) < f64::from(FLOOR * FLOOR) {
        return [0.0; 2];
    }
    let inverse = 1.0 / (own.sqrt() * other.sqrt());
    [inverse, product(&x[0], &x[1], place) * inverse / own]
}

impl Reference for CosineDistance {
    fn reference(&self, x: &[Array]) -> Array {
        let [_, h, w] = x[0].chw();
        let distance = |place: usize| {
            x[2].data[place] * (1.0 - product(&x[0], &x[1], place) * about(x, place)[0])
        };
        Array::scalar(f64::from(self.factor) * (0..h * w).map(distance).sum::<f64>())
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let [_, h, w] = x[0].chw();
        let places: Vec<_> = (0..h * w).map(|place| about(x, place)).collect();
        let dx = Array::from_fn(x[0].shape.clone(), |at| {
            let [inverse, slope] = places[at % (h * w)];
            let along = slope * x[0].data[at] - inverse * x[1].data[at];
            dy.data[0] * f64::from(self.factor) * x[2].data[at % (h * w)] * along
        });
        vec![dx, Array::zeros(x[1].shape.clone()), Array::zeros(x[2].shape.clone())]
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        // Three products and sums an element.
        6 * inputs[0].elements() as u64
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    site.first.then(|| case(site.map()))
}

fn cases() -> Vec<Case> {
    // Not one channel: it has no angle, and its gradient is rounding alone.
    let shapes = [[3, 1, 1], [2, 1, 7], [5, 9, 1], [3, 5, 7], [13, 13, 31], [70, 3, 127]];
    shapes.map(Shape::from).into_iter().map(case).collect()
}

/// Maps of a shape, weights of 0 among those of their places.
fn case(shape: Shape) -> Case {
    let [_, h, w] = [0, 1, 2].map(|axis| shape.dims()[axis]);
    let inputs = vec![shape.clone(), shape, [1, h, w].into()];
    let weights = (0..h * w).map(|i| (i % 5) as f32 / 2.0 + f32::from(u8::from(h * w == 1)));
    Case::new(CosineDistance { factor: 0.3 }, inputs, "").frozen(&[1]).with(2, weights.collect())
}

//! `nearest`: for every place of a map the nearest vector of a pool, by centred cosine (Kolkin et al., "Neural Neighbor
//! Style Transfer", arXiv 2203.13215, section 3.1).
//!
//! The cosines of all pairs would take places times vectors numbers. They are computed as matrix products for a chunk of the
//! pool at a time, and a running maximum is all that stays of a chunk.

use super::product::{self, BLOCK, Product};
use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("nearest");
static INVERT: KernelId = KernelId::new(&SHADER, "invert");
static PACK: KernelId = KernelId::new(&SHADER, "pack");
static OFFSET: KernelId = KernelId::new(&SHADER, "offset");
static START: KernelId = KernelId::new(&SHADER, "start");
static FOLD: KernelId = KernelId::new(&SHADER, "fold");

/// Cosines that are held at a time: 16 MiB.
const SCORES: usize = 1 << 22;
/// Vectors of a chunk at most; they must be worth a dispatch, too.
const CHUNKS: [usize; 2] = [BLOCK, 1024];
/// Numbers of vectors are f32, exact below this.
const LARGEST: usize = 1 << 24;
/// A shorter vector has no direction: its cosine is 0.
const FLOOR: f32 = 1e-12;

/// The catalogue's row.
pub const ENTRY: Entry = Entry {
    name: "nearest",
    shaders: &[&SHADER, &product::TILED, &product::UNIFORM, &product::BROADCAST],
    cases,
    bench: Bench::plain(bench),
};

/// Vectors, what is subtracted from each of them, and a number for each: only vectors of equal numbers are matched.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    /// C×H×W: H·W vectors of C numbers.
    pub map: Var,
    /// C: the mean of the set that these are of.
    pub mean: Var,
    /// H×W, say the regions of a mask; all alike where everything may be matched.
    pub labels: Var,
}

/// For every place the number and the cosine of the nearest vector of `pool`. C×H×W → 2×H×W: numbers, then cosines. Of
/// equally near ones it is the first. Where there is none with the place's label, the number is −1 and the cosine −2.
/// Nothing gets a gradient.
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, or for more than 2²⁴ vectors; otherwise as [`Tape::record`].
pub fn nearest(tape: &mut Tape, x: Vectors, pool: Vectors) -> Result<Var> {
    let inputs = [x.map, x.mean, x.labels, pool.map, pool.mean, pool.labels];
    tape.record(Nearest, &inputs)
}

#[derive(Clone)]
struct Nearest;

/// Channels and vectors of a set, whose mean and labels fit.
fn extents(map: &Shape, mean: &Shape, labels: &Shape) -> Result<[usize; 2]> {
    let [c, h, w] = map.chw("nearest")?;
    if mean.dims() != [c] || labels.dims() != [h, w] {
        let what = format!("{map} takes a mean of {c} and labels of {h}×{w}, not {mean}, {labels}");
        return Err(Error::Shape { op: "nearest", what });
    }
    Ok([c, h * w])
}

/// Params that a kernel has no use for.
fn settings<'r>(call: Call<'r>, [channels, vectors]: [usize; 2], part: &Part) -> Call<'r> {
    let call = call.set("channels", channels).set("vectors", vectors).set("floor", FLOOR);
    call.set("count", part.count).set("first", part.first).set("rows", part.rows)
}

/// What a dispatch works on: elements, vectors of the pool from one on.
#[derive(Default)]
struct Part {
    count: usize,
    first: usize,
    rows: usize,
}

/// Records 1/‖v − mean‖ of all vectors.
fn inverses(
    recorder: &mut Recorder,
    map: &Value,
    mean: &Value,
    extents: [usize; 2],
) -> Result<Value> {
    let inverse = recorder.temporary([extents[1]]);
    let call = recorder.kernel(&INVERT).bind("x", map).bind("mean", mean);
    let call = call.bind("inverse", &inverse);
    settings(call, extents, &Part::default()).over(extents[1])?;
    Ok(inverse)
}

impl Op for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let wrong = |what| Err(Error::Shape { op: "nearest", what });
        let [c, _] = extents(inputs[0], inputs[1], inputs[2])?;
        let [depth, vectors] = extents(inputs[3], inputs[4], inputs[5])?;
        let [_, h, w] = inputs[0].chw("nearest")?;
        if c != depth {
            return wrong(format!("{} has no neighbours in {}", inputs[0], inputs[3]));
        }
        if vectors > LARGEST {
            return wrong(format!("a pool of more than {LARGEST} vectors can't be numbered"));
        }
        Ok([2, h, w].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let own @ [c, n] = extents(x[0].shape(), x[1].shape(), x[2].shape())?;
        let other @ [_, vectors] = extents(x[3].shape(), x[4].shape(), x[5].shape())?;
        let software = recorder.gpu().is_cpu();
        let inverse = inverses(recorder, &x[0], &x[1], own)?;
        let pool_inverse = inverses(recorder, &x[3], &x[4], other)?;
        let call = recorder.kernel(&START).bind("y", y);
        settings(call, own, &Part::default()).over(2 * n)?;
        let chunk = (SCORES / n / BLOCK * BLOCK).clamp(CHUNKS[0], CHUNKS[1]).min(vectors);
        let matrix = recorder.temporary([product::length(1, chunk, c)]);
        let shift = recorder.temporary([chunk]);
        let [_, h, w] = x[0].shape().chw("nearest")?;
        let scores = recorder.temporary([chunk, h, w]);
        for first in (0..vectors).step_by(chunk) {
            let rows = chunk.min(vectors - first);
            let count = product::blocks_length(rows, c);
            let part = Part { count, first, rows };
            let call = recorder.kernel(&PACK).bind("x", &x[3]).bind("mean", &x[4]);
            let call = call.bind("inverse", &pool_inverse).bind("packed", &matrix);
            settings(call, other, &part).over(count)?;
            let call = recorder.kernel(&OFFSET).bind("mean", &x[1]).bind("packed", &matrix);
            settings(call.bind("shift", &shift), own, &part).groups([rows as u32, 1, 1])?;
            let (relu, accumulate, mask) = (false, false, None);
            let scores = &Value { shape: [rows, h, w].into(), ..scores.clone() };
            let (x0, matrix, bias) = (&x[0], &matrix, Some(&shift));
            Product { x: x0, y: scores, matrix, bias, relu, accumulate, mask }
                .record(recorder, software)?;
            let call = recorder.kernel(&FOLD).bind("scores", scores).bind("inverse", &inverse);
            let call = call.bind("label", &x[2]).bind("pool_label", &x[5]).bind("y", y);
            settings(call, own, &part).over(n)?;
        }
        Ok(Saved::new())
    }

    fn backward(&self, _: &mut Recorder, _: &Backward<'_>) -> Result<()> {
        let what = "a choice has no gradient; detach what is searched for".into();
        Err(Error::Shape { op: "nearest", what })
    }
}

/// A centred vector of length 1, or zeros.
fn direction(map: &Array, mean: &Array, at: usize) -> Vec<f64> {
    let [_, h, w] = map.chw();
    let centred = mean.data.iter().enumerate().map(|(c, m)| map.data[c * h * w + at] - m);
    let mut vector: Vec<f64> = centred.collect();
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    let inverse = if length < f64::from(FLOOR) { 0.0 } else { 1.0 / length };
    vector.iter_mut().for_each(|v| *v *= inverse);
    vector
}

impl Nearest {
    /// Number and cosine at some places.
    fn at(&self, x: &[Array], places: &[usize]) -> Vec<[f64; 2]> {
        let vectors = x[5].data.len();
        let pool: Vec<_> = (0..vectors).map(|p| direction(&x[3], &x[4], p)).collect();
        let best = |place: &usize| {
            let own = direction(&x[0], &x[1], *place);
            let same = |p: &usize| x[2].data[*place] == x[5].data[*p];
            (0..vectors).filter(same).fold([-1.0, -2.0], |best, p| {
                let cosine = own.iter().zip(&pool[p]).map(|(a, b)| a * b).sum::<f64>();
                if cosine > best[1] { [p as f64, cosine] } else { best }
            })
        };
        places.iter().map(best).collect()
    }
}

impl Reference for Nearest {
    fn reference(&self, x: &[Array]) -> Array {
        let [_, h, w] = x[0].chw();
        let best = self.at(x, &(0..h * w).collect::<Vec<_>>());
        Array::from_fn([2, h, w], |i| best[i % (h * w)][i / (h * w)])
    }

    fn reference_backward(&self, x: &[Array], _: &Array) -> Vec<Array> {
        x.iter().map(|x| Array::zeros(x.shape.clone())).collect()
    }

    fn reference_at(&self, x: &[Array], at: &[usize]) -> Vec<f64> {
        let n = x[2].data.len();
        let best = self.at(x, &at.iter().map(|i| i % n).collect::<Vec<_>>());
        at.iter().zip(best).map(|(i, best)| best[i / n]).collect()
    }

    fn flops(&self, inputs: &[Shape]) -> u64 {
        2 * (inputs[0].elements() * inputs[5].elements()) as u64
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

/// A number from −1 to 1 that has no pattern, or cosines would be too much alike.
fn scattered(i: usize) -> f32 {
    let mut bits = (i as u32).wrapping_mul(0x9E37_79B9);
    for shift in [16, 13, 15] {
        bits = (bits ^ (bits >> shift)).wrapping_mul(0x85EB_CA6B);
    }
    (f64::from(bits) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
}

/// Places, and vectors to choose from. Labels below `labels`.
fn case([c, h, w]: [usize; 3], [ph, pw]: [usize; 2], labels: usize, note: &str) -> Case {
    let set = |h: usize, w: usize| [Shape::from([c, h, w]), [c].into(), [h, w].into()];
    let shapes = [set(h, w), set(ph, pw)].concat();
    let mut case = Case::new(Nearest, shapes.clone(), note);
    for (input, shape) in shapes.iter().enumerate() {
        let label = |i: usize| (i * 7 / 3 % labels) as f32;
        let numbers = (0..shape.elements()).map(|i| match input {
            2 | 5 => label(i),
            _ => scattered(shape.elements() * input + i),
        });
        case = case.with(input, numbers.collect());
    }
    case
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    let (channels, [h, w]) = (site.shape[0], site.size);
    site.first.then(|| case([channels, h, w], [1, (h * w).min(4096)], 1, ""))
}

fn cases() -> Vec<Case> {
    vec![
        case([3, 1, 1], [1, 1], 1, "one of one"),
        case([5, 1, 7], [3, 1], 1, ""),
        case([4, 13, 5], [7, 9], 1, ""),
        case([13, 4, 4], [5, 127], 1, ""),
        case([13, 5, 8], [5, 127], 3, "labels"),
        case([3, 2, 3], [1, 2], 5, "labels that nothing has"),
        case([130, 6, 11], [30, 41], 2, "chunks"),
    ]
}

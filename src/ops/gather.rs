//! `gather`: the vectors that [`nearest`](super::nearest()) has chosen, each at its place.

use super::reference::{Array, Reference};
use super::{Bench, Case, Entry, Site};
use crate::error::{Error, Result};
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("gather");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");

/// The catalogue's row.
pub const ENTRY: Entry =
    Entry { name: "gather", shaders: &[&SHADER], cases, bench: Bench::plain(bench) };

/// The vectors of `pool` that are `chosen`, by number; zeros where a number is none of the pool's. C×h×w and 2×H×W →
/// C×H×W. Nothing gets a gradient.
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit; otherwise as [`Tape::record`].
pub fn gather(tape: &mut Tape, pool: Var, chosen: Var) -> Result<Var> {
    tape.record(Gather, &[pool, chosen])
}

#[derive(Clone)]
struct Gather;

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let wrong = |what| Err(Error::Shape { op: "gather", what });
        let ([c, ..], [two, h, w]) = (inputs[0].chw("gather")?, inputs[1].chw("gather")?);
        if two != 2 {
            return wrong(format!("{} is no choice, which is 2×H×W", inputs[1]));
        }
        Ok([c, h, w].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        let ([_, ph, pw], [c, h, w]) = (x[0].shape().chw("gather")?, y.shape().chw("gather")?);
        let call = recorder.kernel(&FORWARD).bind("pool", &x[0]).bind("chosen", &x[1]);
        let call = call.bind("y", y).set("places", h * w).set("vectors", ph * pw);
        call.set("count", c * h * w).over(c * h * w)?;
        Ok(Saved::new())
    }

    fn backward(&self, _: &mut Recorder, _: &Backward<'_>) -> Result<()> {
        let what = "what is chosen gets no gradient; freeze the pool".into();
        Err(Error::Shape { op: "gather", what })
    }
}

impl Reference for Gather {
    fn reference(&self, x: &[Array]) -> Array {
        let ([c, ph, pw], [_, h, w]) = (x[0].chw(), x[1].chw());
        Array::from_fn([c, h, w], |i| {
            let vector = x[1].data[i % (h * w)];
            if vector >= 0.0 && vector < (ph * pw) as f64 {
                return x[0].data[i / (h * w) * ph * pw + vector as usize];
            }
            0.0
        })
    }

    fn reference_backward(&self, x: &[Array], _: &Array) -> Vec<Array> {
        x.iter().map(|x| Array::zeros(x.shape.clone())).collect()
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

/// A pool and places, which choose from `numbers` vectors, −1 included.
fn case([c, ph, pw]: [usize; 3], [h, w]: [usize; 2], numbers: usize) -> Case {
    let inputs = vec![[c, ph, pw].into(), [2, h, w].into()];
    let chosen = (0..2 * h * w).map(|i| (i * 7919 % (numbers + 1)) as f32 - 1.0).collect();
    Case::new(Gather, inputs, "").frozen(&[0]).with(1, chosen)
}

fn bench(site: &Site<'_>, _: Option<&str>) -> Option<Case> {
    let (c, [h, w]) = (site.shape[0], site.size);
    site.first.then(|| case([c, h, w], [h, w], h * w))
}

fn cases() -> Vec<Case> {
    vec![
        case([1, 1, 1], [1, 1], 1),
        case([3, 2, 7], [5, 9], 14),
        case([7, 1, 127], [3, 5], 200),
        case([5, 2, 9], [13, 11], 18),
    ]
}

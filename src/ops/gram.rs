//! `gram`: the products of all pairs of channels, the style of a feature map.

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps};
use crate::error::Result;
use crate::gpu::program::Call;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shader;
use crate::tape::{Backward, Op, Tape, Var};
use crate::tensor::Shape;

static SHADER: Shader = shader!("gram");
static PARTIAL_PRODUCTS: KernelId = KernelId::new(&SHADER, "partial_products");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static SYMMETRIZE: KernelId = KernelId::new(&SHADER, "symmetrize");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "gram", shaders: &[&SHADER], cases };

/// G = F·Fᵀ / N of a feature map F with C channels and N = H·W pixels (Gatys et al. 2016, eq. 3, over
/// N). C×H×W → C×C.
///
/// # Errors
/// As [`Tape::record`].
pub fn gram(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.record(Gram, &[x])
}

#[derive(Clone)]
struct Gram;

fn sizes<'r>(call: Call<'r>, shape: &Shape, accumulate: bool) -> Result<Call<'r>> {
    let [c, h, w] = shape.chw("gram")?;
    let (share, splits) = split(c, h * w);
    let call = call.set("channels", c).set("pixels", h * w).set("accumulate", accumulate);
    Ok(call.set("share", share).set("splits", splits))
}

/// Pixels of a share, and number of shares.
fn split(channels: usize, pixels: usize) -> (usize, usize) {
    // Enough invocations to fill a GPU, but partials no larger than the map itself.
    let splits = (1 << 17) / (channels * channels) + 1;
    let share = pixels.div_ceil(splits).max(channels).max(256);
    (share, pixels.div_ceil(share))
}

impl Op for Gram {
    fn name(&self) -> &'static str {
        "gram"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, ..] = inputs[0].chw("gram")?;
        Ok([c, c].into())
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<()> {
        let [c, h, w] = x[0].shape().chw("gram")?;
        let (_, splits) = split(c, h * w);
        let partials = recorder.temporary([splits, c, c]);
        let flops = 2 * (c * c * h * w) as u64;
        let call = recorder.kernel(&PARTIAL_PRODUCTS)?.bind("x", &x[0]).bind("partials", &partials);
        sizes(call, x[0].shape(), false)?.flops(flops).over(splits * c * c)?;
        let call = recorder.kernel(&FINISH)?.bind("partials", &partials).bind("y", y);
        sizes(call, x[0].shape(), false)?.over(c * c)
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        let shape = dx.value.shape();
        let [c, h, w] = shape.chw("gram")?;
        let s = recorder.temporary([c, c]);
        let call = recorder.kernel(&SYMMETRIZE)?.bind("dy", pass.dy).bind("s", &s);
        sizes(call, shape, false)?.over(c * c)?;
        let call = recorder.kernel(&BACKWARD)?.bind("s", &s).bind("x", &pass.x[0]);
        let call = sizes(call.bind("dx", &dx.value), shape, dx.accumulate)?;
        call.flops(2 * (c * c * h * w) as u64).over(c * h * w)
    }
}

impl Reference for Gram {
    fn reference(&self, x: &[Array]) -> Array {
        let [c, h, w] = x[0].chw();
        let row = |i: usize| &x[0].data[i * h * w..][..h * w];
        Array::from_fn([c, c], |at| {
            let products = row(at / c).iter().zip(row(at % c)).map(|(a, b)| a * b);
            products.sum::<f64>() / (h * w) as f64
        })
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let [c, h, w] = x[0].chw();
        let dx = Array::from_fn(x[0].shape.clone(), |at| {
            let (i, pixel) = (at / (h * w), at % (h * w));
            let term =
                |j: usize| (dy.data[i * c + j] + dy.data[j * c + i]) * x[0].data[j * h * w + pixel];
            (0..c).map(term).sum::<f64>() / (h * w) as f64
        });
        vec![dx]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let more = [[13, 31, 33], [64, 20, 13], [70, 9, 61]].map(Shape::from);
    awkward_maps().into_iter().chain(more).map(|s| Case::new(Gram, vec![s], "")).collect()
}

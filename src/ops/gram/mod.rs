//! `gram`: the products of all pairs of channels, the style of a feature map.
//!
//! Two stages, so that no atomics are needed and every run gives the same bits: products over shares
//! of the pixels, then their sum. Only tiles on and above the diagonal are computed. The gradient is
//! a product with a symmetric matrix, which is packed first.

mod backward;
mod forward;

use super::reference::{Array, Reference};
use super::{Case, Entry, awkward_maps, product};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Gpu, Recorder, Shader, Value};
use crate::shape::Shape;
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("gram");

/// The catalogue's row.
pub const ENTRY: Entry = Entry {
    name: "gram",
    shaders: &[
        &SHADER,
        &forward::SPLIT,
        &product::TILED,
        &product::UNIFORM,
        &product::UNIFORM_ANY,
        &product::BROADCAST,
    ],
    cases,
};

/// How the sums are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Tiles through workgroup memory: anything, anywhere, made for GPUs.
    Tiled,
    /// Register tiles: for software drivers.
    Uniform,
}

impl Variant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Tiled];

    /// As benches call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Tiled => "tiled",
        }
    }
}

/// G = F·Fᵀ / N of a feature map F with C channels and N = H·W pixels (Gatys et al. 2016, eq. 3, over
/// N). C×H×W → C×C.
///
/// # Errors
/// As [`Tape::record`].
pub fn gram(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.record(Gram { variant: None }, &[x])
}

/// Settings of a Gram matrix.
#[derive(Clone, Debug, Default)]
pub struct Gram {
    /// Set to force a variant; by default the device decides.
    pub variant: Option<Variant>,
}

impl Gram {
    fn variant(&self, gpu: &Gpu) -> Variant {
        self.variant.unwrap_or(if gpu.is_cpu() { Variant::Uniform } else { Variant::Tiled })
    }
}

/// Channels and pixels of a map.
fn extents(shape: &Shape) -> Result<[usize; 2]> {
    let [c, h, w] = shape.chw("gram")?;
    Ok([c, h * w])
}

/// Multiplications and additions of the full matrix; half of them are saved.
fn flops([channels, pixels]: [usize; 2]) -> u64 {
    2 * channels as u64 * channels as u64 * pixels as u64
}

impl Op for Gram {
    fn name(&self) -> &'static str {
        "gram"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [c, _] = extents(inputs[0])?;
        Ok([c, c].into())
    }

    fn masks(&self) -> bool {
        true
    }

    fn maps(&self) -> usize {
        1
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        forward::record(self.variant(recorder.gpu()), recorder, &x[0], y)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let Some(dx) = &pass.dx[0] else { return Ok(()) };
        backward::record(self.variant(recorder.gpu()), recorder, &pass.x[0], pass.dy, dx)
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
            let slope = |j: usize| dy.data[i * c + j] + dy.data[j * c + i];
            let term = |j: usize| slope(j) * x[0].data[j * h * w + pixel];
            (0..c).map(term).sum::<f64>() / (h * w) as f64
        });
        vec![dx]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for variant in [Variant::Tiled, Variant::Uniform] {
        let more = [[13, 31, 33], [64, 20, 13], [70, 9, 61], [130, 6, 10], [17, 90, 100]];
        for shape in awkward_maps().into_iter().chain(more.map(Shape::from)) {
            let gram = Gram { variant: Some(variant) };
            cases.push(Case::new(gram, vec![shape], format!("{variant:?}")));
        }
    }
    cases
}

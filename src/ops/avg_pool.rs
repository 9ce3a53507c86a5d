//! `avg_pool`: the mean of each window.

use super::pool::{self, Windows};
use super::reference::{Array, Reference};
use super::{Case, Entry};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::{Precision, Shape};
use crate::tape::{Backward, Op, Saved, Tape, Var};

static SHADER: Shader = shader!("avg_pool");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "avg_pool", shaders: &[&SHADER], cases };

/// The mean of each `window`×`window` square, `stride` pixels apart; squares that pass the edge are
/// left out. C×H×W → C×((H − window)/stride + 1)×((W − window)/stride + 1).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when no window fits; otherwise as [`Tape::record`].
pub fn avg_pool(tape: &mut Tape, x: Var, window: usize, stride: usize) -> Result<Var> {
    tape.record(AvgPool(Windows { window, stride }), &[x])
}

#[derive(Clone)]
struct AvgPool(Windows);

impl Op for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.0.shape("avg_pool", inputs[0])
    }

    fn maps(&self) -> usize {
        1
    }

    fn precision(&self, inputs: &[Precision]) -> Precision {
        inputs[0]
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        self.0.forward(&FORWARD, &[], recorder, &x[0], y)?;
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let count = pass.x[0].shape().elements();
        self.0.backward(&BACKWARD, count, &[], &[], recorder, pass)
    }
}

impl Reference for AvgPool {
    fn reference(&self, x: &[Array]) -> Array {
        pool::pooled(self.0, &x[0], |v| v.iter().sum::<f64>() / v.len() as f64)
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let mut dx = Array::zeros(x[0].shape.clone());
        self.0.each(&x[0].shape, |at, pixels| {
            for pixel in pixels {
                dx.data[*pixel] += dy.data[at] / pixels.len() as f64;
            }
        });
        vec![dx]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    pool::cases(AvgPool)
}

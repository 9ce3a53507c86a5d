//! `max_pool`: the largest value of each window.

use super::pool::{self, Windows};
use super::reference::{Array, Reference};
use super::{Case, Entry};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shape::{Precision, Shape};
use crate::tape::{Backward, Op, Saved, Tape, Var, inplace};

static SHADER: Shader = shader!("max_pool");
static FORWARD: KernelId = KernelId::new(&SHADER, "forward");
static BACKWARD: KernelId = KernelId::new(&SHADER, "backward");
static FORWARD_QUADS: KernelId = KernelId::new(&SHADER, "forward_quads");
static BACKWARD_QUADS: KernelId = KernelId::new(&SHADER, "backward_quads");
static BACKWARD_2X2: KernelId = KernelId::new(&SHADER, "backward_2x2");

/// The catalogue's row.
pub const ENTRY: Entry = Entry { name: "max_pool", shaders: &[&SHADER], cases };

/// The largest value of each `window`×`window` square, `stride` pixels apart; squares that pass the
/// edge are left out. C×H×W → C×((H − window)/stride + 1)×((W − window)/stride + 1).
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when no window fits; otherwise as [`Tape::record`].
pub fn max_pool(tape: &mut Tape, x: Var, window: usize, stride: usize) -> Result<Var> {
    tape.record(MaxPool(Windows { window, stride }), &[x])
}

#[derive(Clone)]
struct MaxPool(Windows);

impl MaxPool {
    /// Whether the kernels that take four windows at a time can be used.
    fn in_quads(&self, x: &Shape) -> Result<bool> {
        let [_, h, w] = x.chw("max_pool")?;
        Ok(self.0.window == 2 && self.0.stride == 2 && w % 8 == 0 && h % 2 == 0)
    }

    fn backward_quads(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let (Some(dx), Some(codes)) = (&pass.dx[0], pass.saved.first()) else { return Ok(()) };
        let (x, count) = (&pass.x[0], pass.y.shape().elements() / 4);
        let call = recorder.kernel(&BACKWARD_QUADS).bind("codes", codes).bind("dy4", pass.dy);
        let call = call.bind("dx4", &dx.value).set("count", count);
        let call = call.set("accumulate", dx.accumulate).set("mask", dx.mask);
        self.0.sizes(call, x.shape(), pass.y.shape())?.over(count)
    }
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.0.shape("max_pool", inputs[0])
    }

    fn masks(&self) -> bool {
        true
    }

    fn maps(&self) -> usize {
        1
    }

    fn precision(&self, inputs: &[Precision]) -> Precision {
        inputs[0]
    }

    fn forward(&self, recorder: &mut Recorder, x: &[Value], y: &Value) -> Result<Saved> {
        if !self.in_quads(x[0].shape())? {
            self.0.forward(&FORWARD, &[("mask", false)], recorder, &x[0], y)?;
            return Ok(Saved::new());
        }
        let count = y.shape().elements() / 4;
        // So that the input, the largest map of its block, need not be kept: 16 times as small.
        let codes = recorder.temporary([count]);
        let call = recorder.kernel(&FORWARD_QUADS).bind("x4", &x[0]).bind("y4", y);
        let call = call.bind("codes", &codes);
        let call = call.set("count", count).set("accumulate", false).set("mask", false);
        self.0.sizes(call, x[0].shape(), y.shape())?.over(count)?;
        Ok(vec![codes])
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let x = &pass.x[0];
        if self.in_quads(x.shape())? {
            return self.backward_quads(recorder, pass);
        }
        let mask = pass.dx[0].as_ref().is_some_and(|dx| dx.mask);
        if let Windows { window: 2, stride: 2 } = self.0 {
            let [c, h, w] = x.shape().chw("max_pool")?;
            let cells = c * h.div_ceil(2) * w.div_ceil(2);
            let values = [("x", x)];
            return self.0.backward(
                &BACKWARD_2X2,
                cells,
                &values,
                &[("mask", mask)],
                recorder,
                pass,
            );
        }
        let (values, settings) = ([("x", x), ("y", pass.y)], [("mask", false)]);
        self.0.backward(&BACKWARD, x.shape().elements(), &values, &settings, recorder, pass)?;
        match &pass.dx[0] {
            Some(dx) if mask => inplace::mask(recorder, x, &dx.value),
            _ => Ok(()),
        }
    }
}

impl Reference for MaxPool {
    fn reference(&self, x: &[Array]) -> Array {
        pool::pooled(self.0, &x[0], |v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    fn reference_backward(&self, x: &[Array], dy: &Array) -> Vec<Array> {
        let mut dx = Array::zeros(x[0].shape.clone());
        self.0.each(&x[0].shape, |at, pixels| {
            let better =
                |best: usize, p: &usize| if x[0].data[*p] > x[0].data[best] { *p } else { best };
            dx.data[pixels.iter().fold(pixels[0], better)] += dy.data[at];
        });
        vec![dx]
    }

    fn boxed(&self) -> Box<dyn Op> {
        Box::new(self.clone())
    }
}

fn cases() -> Vec<Case> {
    pool::cases(MaxPool)
}

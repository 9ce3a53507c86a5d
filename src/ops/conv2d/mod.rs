//! `conv2d`: convolution (as networks say it: cross-correlation) with bias and, fused, a ReLU.
//!
//! The baseline computes any size, stride and padding. 3×3 kernels at stride 1 and padding 1, which is nearly all of
//! VGG, and 1×1 kernels, which are matrix products, take a fast variant:
//! [`Variant::Winograd`] or, where layers are narrow, [`Variant::Broadcast`] or [`Variant::Uniform`] on software drivers,
//! [`Variant::Tiled`] on GPUs, or what the tuner chose (`choose`). The gradient to the input is the same
//! convolution of `dy` with flipped, transposed weights. Each variant has its own order of the weights (`pack`),
//! frozen or not. The gradient to the weights is a sum of its own (`weight`).

mod baseline;
mod broadcast;
mod choose;
mod convolution;
mod cooperative;
mod implicit;
mod pack;
mod pointwise;
mod reference;
mod settings;
mod tiled;
mod uniform;
mod weight;
mod winograd;

use convolution::{Convolution, Gradients};
use settings::Extents;
pub use settings::{Class, Conv2d, Direction, Padding, Variant};

use super::{Bench, Case, Entry, Site, product};
use crate::error::{Error, Result};
use crate::gpu::{Frozen, Recorder, Value};
use crate::shape::{Precision, Shape};
use crate::tape::{Backward, Gradient, Op, Saved, Tape, Var, inplace};

/// The catalogue's row.
pub const ENTRY: Entry = Entry {
    name: "conv2d",
    shaders: &[
        &baseline::SHADER,
        &uniform::SHADER,
        &broadcast::SHADER,
        &tiled::SHADER,
        &winograd::SHADER,
        &cooperative::SHADER,
        &product::TILED,
        &product::UNIFORM,
        &product::BROADCAST,
        &implicit::SHADER,
        &pack::SHADER,
        &weight::SHADER,
        &weight::BROADCAST,
        &weight::SHARES,
    ],
    cases: reference::cases,
    bench: Bench {
        variants: &[
            ("broadcast", &["conv2d_broadcast.", "conv2d_weight_broadcast."]),
            ("uniform", &["conv2d_uniform."]),
            ("tiled", &["conv2d_tiled.", "conv2d_implicit.", "conv2d_weight.partial_products"]),
            ("cooperative", &["conv2d_cooperative."]),
            ("winograd", &["winograd."]),
            ("baseline", &["conv2d."]),
        ],
        at: reference::bench,
        weight: Some(1),
    },
};

/// y = x ∗ weight + bias. x: C×H×W, weight: O×C×K×K, bias: O → O×OH×OW with
/// OH = (H + 2·padding − K)/stride + 1.
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit each other or the kernel does not fit the padded
/// picture; otherwise as [`Tape::record`].
pub fn conv2d(
    tape: &mut Tape,
    x: Var,
    weight: Var,
    bias: Option<Var>,
    settings: Conv2d,
) -> Result<Var> {
    let bias = match bias {
        Some(bias) => bias,
        None => {
            let out = tape.shape(weight).dims().first().copied().unwrap_or(0);
            tape.frozen(&Frozen::new([out], vec![0.0; out])?)
        }
    };
    tape.record(settings, &[x, weight, bias])
}

impl Conv2d {
    /// Whether the fast variants are made for it: 3×3 with padding 1 or 1×1 without, stride 1.
    fn is_fast(&self, extents: &Extents) -> bool {
        self.stride == 1 && matches!((extents.kernel, self.padding), (3, 1) | (1, 0))
    }

    fn backward_input(
        &self,
        extents: &Extents,
        recorder: &mut Recorder,
        pass: &Backward<'_>,
        dx: &Gradient,
    ) -> Result<()> {
        let mask = Some(&pass.x[0]).filter(|_| dx.mask);
        if self.is_fast(extents) {
            // What mirrored and repeated pixels pass on is left, and little.
            let left = self.edges().repeats();
            let fast = Convolution {
                x: pass.dy,
                y: &dx.value,
                weight: &pass.x[1],
                transposed: true,
                bias: None,
                edges: self.edges().flipped(),
                relu: false,
                accumulate: dx.accumulate,
                mask: mask.filter(|_| left == 0),
            };
            if fast.record(recorder, self.variant)? {
                if left == 0 {
                    return Ok(());
                }
                baseline::backward_input(self, extents, recorder, pass, dx, left)?;
                return inplace::masked(recorder, mask, &dx.value);
            }
        }
        match self.choose(recorder.gpu(), extents, Direction::Input, pass.dy.precision()) {
            Variant::Baseline => baseline::backward_input(self, extents, recorder, pass, dx, 0)?,
            _ => {
                implicit::backward_input(self, extents, recorder, pass, dx)?;
                let left = self.edges().shows();
                if left != 0 && self.padding > 0 {
                    baseline::backward_input(self, extents, recorder, pass, dx, left)?;
                }
            }
        }
        inplace::masked(recorder, mask, &dx.value)
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let extents = self.extents(inputs[0], inputs[1])?;
        if *inputs[2] != Shape::from([extents.output[0]]) {
            let what = format!("bias of shape {} for weights of {}", inputs[2], inputs[1]);
            return Err(Error::Shape { op: "conv2d", what });
        }
        Ok(extents.output.into())
    }

    fn rectified(&self) -> bool {
        self.relu
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
        let extents = self.extents(x[0].shape(), x[1].shape())?;
        if self.is_fast(&extents) {
            let fast = Convolution {
                x: &x[0],
                y,
                weight: &x[1],
                transposed: false,
                bias: Some(&x[2]),
                edges: self.edges(),
                relu: self.relu,
                accumulate: false,
                mask: None,
            };
            if fast.record(recorder, self.variant)? {
                return Ok(Saved::new());
            }
        }
        match self.choose(recorder.gpu(), &extents, Direction::Forward, y.precision()) {
            Variant::Baseline => baseline::forward(self, &extents, recorder, x, y)?,
            _ => implicit::forward(self, &extents, recorder, x, y)?,
        }
        Ok(Saved::new())
    }

    fn backward(&self, recorder: &mut Recorder, pass: &Backward<'_>) -> Result<()> {
        let extents = self.extents(pass.x[0].shape(), pass.x[1].shape())?;
        if let Some(dx) = &pass.dx[0] {
            self.backward_input(&extents, recorder, pass, dx)?;
        }
        let gradients = Gradients { conv: self, extents: &extents, x: &pass.x[0], dy: pass.dy };
        if let Some(dw) = &pass.dx[1] {
            gradients.weight(recorder, dw)?;
        }
        if let Some(db) = &pass.dx[2] {
            gradients.bias(recorder, db)?;
        }
        Ok(())
    }
}

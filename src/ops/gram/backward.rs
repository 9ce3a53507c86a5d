//! The backward pass: the symmetric matrix, then its product with the map.

use super::variant::{SHADER, Variant, extents};
use crate::error::Result;
use crate::gpu::{KernelId, Recorder, Value};
use crate::ops::product::{self, Product};
use crate::tape::Gradient;

static SYMMETRIZE: KernelId = KernelId::new(&SHADER, "symmetrize");

pub(super) fn record(
    variant: Variant,
    recorder: &mut Recorder,
    x: &Value,
    dy: &Value,
    dx: &Gradient,
) -> Result<()> {
    let [c, n] = extents(x.shape())?;
    let matrix = recorder.temporary([product::length(1, c, c)]);
    let call = recorder.kernel(&SYMMETRIZE).bind("dy", dy).bind("packed", &matrix);
    let call = call.set("channels", c).set("pixels", n).set("span", 0usize).set("pairs", 0usize);
    let call = call.set("tile", 0usize).set("splits", 0usize).set("scale", 1.0 / n as f32);
    call.over(product::blocks_length(c, c))?;

    let (y, accumulate) = (&dx.value, dx.accumulate);
    let mask = Some(x).filter(|_| dx.mask);
    let product = Product { x, y, matrix: &matrix, bias: None, relu: false, accumulate, mask };
    product.record(recorder, variant == Variant::Uniform)
}

//! 1×1 convolutions (side maps, the colour layer): a matrix times the map.

use super::fast::Pass;
use crate::error::Result;
use crate::gpu::{Recorder, Value};
use crate::ops::product::{self, Product};

pub(super) fn record(pass: &Pass<'_>, recorder: &mut Recorder, uniform: bool) -> Result<()> {
    let pack = |numbers: &[f32]| pack(pass, numbers);
    let memory = pass.weight.upload(recorder.gpu(), &pass.packing("product"), pack)?;
    let matrix = Value::owned(pass.weight.shape().clone(), memory);
    let (relu, accumulate) = (pass.relu, pass.accumulate);
    let (x, y, bias, mask, matrix) = (pass.x, pass.y, pass.bias, pass.mask, &matrix);
    Product { x, y, matrix, bias, relu, accumulate, mask }.record(recorder, uniform)
}

fn pack(pass: &Pass<'_>, numbers: &[f32]) -> Vec<f32> {
    let (c, o) = (pass.in_channels(), pass.out_channels());
    let mut packed = vec![0.0; product::length(1, o, c)];
    for (at, (out, i)) in (0..o).flat_map(|out| (0..c).map(move |i| (out, i))).enumerate() {
        // The weights lie O×C, or for the gradient C×O.
        let number = if pass.transposed { numbers[i * o + out] } else { numbers[at] };
        packed[product::place(out, i, c)] = number;
    }
    packed
}

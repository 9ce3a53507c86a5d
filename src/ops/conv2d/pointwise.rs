//! 1×1 convolutions (side maps, the colour layer): a matrix times the map.

use super::convolution::Convolution;
use super::pack;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::ops::product::Product;

pub(super) fn record(pass: &Convolution<'_>, recorder: &mut Recorder, uniform: bool) -> Result<()> {
    let matrix = pack::matrix(pass, recorder)?;
    let (relu, accumulate) = (pass.relu, pass.accumulate);
    let (x, y, bias, mask, matrix) = (pass.x, pass.y, pass.bias, pass.mask, &matrix);
    Product { x, y, matrix, bias, relu, accumulate, mask }.record(recorder, uniform)
}

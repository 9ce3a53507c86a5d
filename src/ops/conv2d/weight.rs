//! The gradients to weights and bias: sums over all pixels, in shares of them, and then over the shares. The order of
//! the sums is fixed, without atomics. They are f32, however maps are stored.

use super::baseline;
use super::convolution::Gradients;
use super::settings::{Direction, Variant};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::ops::shares;
use crate::tape::Gradient;

/// Products through workgroup memory.
pub(super) static SHADER: Shader = shader!("conv2d_weight");
/// For software drivers with subgroups.
pub(super) static BROADCAST: Shader = shader!("conv2d_weight_broadcast");
/// The sum over the shares.
pub(super) static SHARES: Shader = shader!("conv2d_shares");
static PARTIAL_PRODUCTS: KernelId = KernelId::new(&SHADER, "partial_products");
static ADD_UP: KernelId = KernelId::new(&SHARES, "add_up");
static SUMS: KernelId = KernelId::new(&BROADCAST, "sums");
static SUMS_ALIGNED: KernelId = KernelId::new(&BROADCAST, "sums_aligned");

/// Most numbers of the shares together, 16 MiB, where a share alone has not more.
const WORKSPACE: usize = 4 << 20;
/// Output channels and input channels of a workgroup of the broadcast kernel, and columns of a strip.
const LANE_CHANNELS: usize = 32;
const INPUTS: usize = 8;
const COLUMNS: usize = 8;
/// Rows of a strip that it takes in one go, at most.
const ROWS: usize = 128;
/// Weights along both sides of a workgroup of the product.
const TILE: usize = 64;
/// Pixels that it takes at a time.
const DEPTH: usize = 16;
/// Workgroups that the product should have, and the least pixels of one.
const WORKGROUPS: usize = 512;
const LEAST_PIXELS: usize = 256;
/// Pixels of a share of the baseline.
const BASELINE_PIXELS: usize = 2048;

/// How a sum is cut.
struct Cut {
    /// Parts of a share.
    share: usize,
    shares: usize,
}

impl Cut {
    /// Shares of `least` parts or more, each of a multiple of `step`, no more than fit the workspace.
    fn new(parts: usize, (least, step): (usize, usize), sums: usize) -> Self {
        let most = (WORKSPACE / sums).max(1);
        let share = parts.div_ceil(most).max(least).min(parts).next_multiple_of(step);
        Cut { share, shares: parts.div_ceil(share) }
    }
}

impl Gradients<'_> {
    /// Records the gradient to the weights.
    pub fn weight(&self, recorder: &mut Recorder, dw: &Gradient) -> Result<()> {
        let precision = self.x.precision();
        let gpu = recorder.gpu();
        let partials = match self.conv.choose(gpu, self.extents, Direction::Weight, precision) {
            Variant::Broadcast => self.broadcast(recorder)?,
            Variant::Baseline => self.baseline(recorder)?,
            _ => self.product(recorder)?,
        };
        add_up(recorder, &partials, dw)
    }

    /// Records the gradient to the bias.
    pub fn bias(&self, recorder: &mut Recorder, db: &Gradient) -> Result<()> {
        let [o, h, w] = self.extents.output;
        let (share, shares) = shares(h * w);
        let partials = recorder.temporary([shares, o]);
        baseline::bias_sums(self, recorder, &partials, share)?;
        add_up(recorder, &partials, db)
    }

    fn weights(&self) -> usize {
        self.extents.output[0] * self.extents.input[0] * self.extents.kernel.pow(2)
    }

    fn pixels(&self) -> usize {
        self.extents.output[1] * self.extents.output[2]
    }

    fn baseline(&self, recorder: &mut Recorder) -> Result<Value> {
        let cut = Cut::new(self.pixels(), (BASELINE_PIXELS, 1), self.weights());
        let partials = recorder.temporary([cut.shares, self.weights()]);
        baseline::weight_sums(self, recorder, &partials, cut.share)?;
        Ok(partials)
    }

    /// An implicit matrix product, O pixels times pixels × C·K·K.
    fn product(&self, recorder: &mut Recorder) -> Result<Value> {
        let ([c, ..], [o, ..], k) = (self.extents.input, self.extents.output, self.extents.kernel);
        let tiles = [o.div_ceil(TILE), (c * k * k).div_ceil(TILE)];
        let groups = WORKGROUPS.div_ceil(tiles[0] * tiles[1]);
        let least = self.pixels().div_ceil(groups).max(LEAST_PIXELS);
        let cut = Cut::new(self.pixels(), (least, DEPTH), self.weights());
        let partials = recorder.temporary([cut.shares, self.weights()]);
        let call = recorder.kernel(&PARTIAL_PRODUCTS).bind("x", self.x).bind("dy", self.dy);
        let call = baseline::extents(self.conv, self.extents, call.bind("partials", &partials));
        let call = call.set("share", cut.share).flops(self.extents.flops());
        call.groups([cut.shares, tiles[0], tiles[1]].map(|n| n as u32))?;
        Ok(partials)
    }

    /// 3×3 at stride 1: lanes are output channels, pixels of the input are handed from lane to lane.
    fn broadcast(&self, recorder: &mut Recorder) -> Result<Value> {
        let ([c, h, w], [o, ..]) = (self.extents.input, self.extents.output);
        let runs = h.div_ceil(ROWS);
        let units = w.div_ceil(COLUMNS) * runs;
        let cut = Cut::new(units, (1, 1), self.weights());
        let partials = recorder.temporary([cut.shares, self.weights()]);
        let call = match w % 4 {
            0 => recorder.kernel(&SUMS_ALIGNED).bind("dy4", self.dy),
            _ => recorder.kernel(&SUMS).bind("dy", self.dy),
        };
        let call = call.bind("x", self.x).bind("partials", &partials);
        let call = call.set("width", w).set("height", h).set("in_channels", c);
        let call = self.conv.edges().set(call.set("out_channels", o));
        let call = call.set("rows", h.div_ceil(runs)).set("runs", runs).set("units", units);
        let call = call.set("share", cut.share).flops(self.extents.flops());
        let grid = [cut.shares, o.div_ceil(LANE_CHANNELS), c.div_ceil(INPUTS)];
        call.groups(grid.map(|n| n as u32))?;
        Ok(partials)
    }
}

/// Records the sum over the shares.
fn add_up(recorder: &mut Recorder, partials: &Value, to: &Gradient) -> Result<()> {
    let count = to.value.shape().elements();
    let call = recorder.kernel(&ADD_UP).bind("partials", partials).bind("sums", &to.value);
    let call = call.set("count", count).set("shares", partials.shape().elements() / count);
    call.set("accumulate", to.accumulate).over(count)
}

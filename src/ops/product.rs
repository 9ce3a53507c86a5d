//! A matrix times a map, y = M·x + bias: what a 1×1 convolution and the Gram matrix's gradient share;
//! and a batch of such products, the middle of a Winograd convolution.

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::tape::inplace;

/// For GPUs, through workgroup memory; any shape.
pub(super) static TILED: Shader = shader!("product");
/// For software drivers, with the matrix from a uniform window.
pub(super) static UNIFORM: Shader = shader!("product_uniform");
/// As [`UNIFORM`], where lanes can hand pixels to each other.
pub(super) static BROADCAST: Shader = shader!("product_broadcast");
static MULTIPLY_BROADCAST: KernelId = KernelId::new(&BROADCAST, "multiply");
static MULTIPLY_TILED: KernelId = KernelId::new(&TILED, "multiply");
static MULTIPLY_UNIFORM_ALIGNED: KernelId =
    KernelId { shader: &UNIFORM, entry: "multiply_aligned", constants: &[("ALIGNED", 1.0)] };
/// Maps with any number of pixels are not aligned to vec4.
static MULTIPLY_UNIFORM: KernelId =
    KernelId { shader: &UNIFORM, entry: "multiply", constants: &[("ALIGNED", 0.0)] };

/// Numbers of a uniform window: 64 KiB.
const WINDOW: usize = 16_384;
/// Rows of a block of the packed matrix.
pub(super) const BLOCK: usize = 32;
/// Workgroups along x of the tiled kernel before it folds into z.
const FOLD: usize = 32_768;

/// Pixels of a run, in which the maps of a batch are cut.
pub(super) const RUN: usize = 128;

/// y = or += M·x + bias, then optionally max(·, 0). x: C×H×W, y: O×H×W; or a batch, x: B×N/128×C×128,
/// y: B×N/128×O×128, for which [`fits`].
pub(super) struct Product<'a> {
    pub x: &'a Value,
    pub y: &'a Value,
    /// O×C, packed: [`length`] numbers, element (o, i) at [`place`], the next matrix [`blocks_length`]
    /// later.
    pub matrix: &'a Value,
    pub bias: Option<&'a Value>,
    pub relu: bool,
    pub accumulate: bool,
    /// Where this is not above 0, y becomes 0 in the end.
    pub mask: Option<&'a Value>,
}

/// Numbers of so many packed matrices: whole blocks, and a window more, because the last block's
/// window is bound whole, too.
pub(super) fn length(batches: usize, rows: usize, columns: usize) -> usize {
    batches * blocks_length(rows, columns) + WINDOW
}

/// Numbers of the blocks alone.
pub(super) fn blocks_length(rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(BLOCK) * columns.next_multiple_of(4)
}

/// Where the element of a row and a column stands in a packed matrix with so many columns: by block
/// of 32 rows, four columns, row, column.
pub(super) fn place(row: usize, column: usize, columns: usize) -> usize {
    ((row / BLOCK * columns.div_ceil(4) + column / 4) * BLOCK + row % BLOCK) * 4 + column % 4
}

/// Whether the uniform kernels take a matrix with so many columns and a map of so many pixels: a
/// window must hold a whole block, and the grid does not fold.
pub(super) fn fits(columns: usize, pixels: usize) -> bool {
    BLOCK * columns.next_multiple_of(4) <= WINDOW && pixels <= RUN * 65_535
}

impl Product<'_> {
    /// Products in the batch, output channels, input channels, pixels of each.
    fn extents(&self) -> [usize; 4] {
        match (self.x.shape().dims(), self.y.shape().dims()) {
            ([batches, runs, c, run], [_, _, o, _]) => [*batches, *o, *c, runs * run],
            (x, y) => [1, y[0], x[0], x[1] * x[2]],
        }
    }

    /// Records it, for software drivers or for GPUs.
    pub fn record(&self, recorder: &mut Recorder, software: bool) -> Result<()> {
        let [batches, o, c, n] = self.extents();
        let grid = [n.div_ceil(RUN / 2), batches * o.div_ceil(BLOCK)];
        let fits_grid = grid.iter().all(|groups| *groups <= 65_535);
        match software {
            true if recorder.gpu().broadcasts() && n % 4 == 0 && fits_grid => {
                self.broadcast(recorder, grid)
            }
            true if fits(c, n) => {
                self.uniform(recorder)?;
                inplace::masked(recorder, self.mask, self.y)
            }
            _ => {
                self.tiled(recorder)?;
                inplace::masked(recorder, self.mask, self.y)
            }
        }
    }

    fn tiled(&self, recorder: &mut Recorder) -> Result<()> {
        let [_, o, c, n] = self.extents();
        let call = recorder.kernel(&MULTIPLY_TILED).bind("x", self.x).bind("m", self.matrix);
        let call = call.bind_optional("bias", self.bias, self.x).bind("y", self.y);
        let call = call.set("in_channels", c).set("out_channels", o).set("pixels", n);
        let call = call.set("accumulate", self.accumulate).set("relu", self.relu);
        let call = call.set("add_bias", self.bias.is_some()).flops(flops(o, c, n));
        let groups = n.div_ceil(128);
        call.groups([groups.min(FOLD), o.div_ceil(64), groups.div_ceil(FOLD)].map(|g| g as u32))
    }

    fn broadcast(&self, recorder: &mut Recorder, [runs, blocks]: [usize; 2]) -> Result<()> {
        let [_, _, c, n] = self.extents();
        let call = recorder.kernel(&MULTIPLY_BROADCAST).bind("m", self.matrix);
        let call = call.bind_optional("gate", self.mask, self.x);
        let call = self.prepared(call.bind("y", self.y), 4).set("mask", self.mask.is_some());
        call.flops(flops(blocks * BLOCK, c, n)).groups([runs as u32, blocks as u32, 1])
    }

    fn uniform(&self, recorder: &mut Recorder) -> Result<()> {
        let [batches, o, c, n] = self.extents();
        let block = BLOCK * c.next_multiple_of(4);
        let (all, together) = (batches * o.div_ceil(BLOCK), WINDOW / block);
        for first in (0..all).step_by(together) {
            let some = together.min(all - first);
            let (offset, bytes) = (4 * (first * block) as u64, 4 * WINDOW as u64);
            let call = match n % 4 {
                0 => recorder.kernel(&MULTIPLY_UNIFORM_ALIGNED).bind("y4", self.y),
                _ => recorder.kernel(&MULTIPLY_UNIFORM).bind("y", self.y),
            };
            let call = call.bind("x4", self.x).bind_window("m", self.matrix, offset, bytes);
            let call = self.prepared(call, 1).set("first", first).flops(flops(some * BLOCK, c, n));
            call.groups([n.div_ceil(RUN) as u32, some as u32, 1])?;
        }
        Ok(())
    }

    /// Everything but the matrix and y; with strides in units of so many numbers.
    fn prepared<'r>(&self, call: Call<'r>, unit: usize) -> Call<'r> {
        let [_, o, c, n] = self.extents();
        let call = call.bind("x", self.x).bind_optional("bias", self.bias, self.x);
        let call = call.set("in_channels", c).set("out_channels", o).set("pixels", n);
        let call = call.set("accumulate", self.accumulate);
        let call = call.set("add_bias", self.bias.is_some()).set("relu", self.relu);
        // From channel to channel, and from run to run of x and of y.
        let [row, run_in, run_out] = match self.x.shape().dims().len() {
            4 => [RUN, RUN * c, RUN * o],
            _ => [n, RUN, RUN],
        };
        let call = call.set("row", row / unit).set("run_in", run_in / unit);
        call.set("run_out", run_out / unit).set("blocks", o.div_ceil(BLOCK))
    }
}

/// Multiplications and additions.
fn flops(rows: usize, columns: usize, pixels: usize) -> u64 {
    2 * rows as u64 * columns as u64 * pixels as u64
}

//! A matrix times a map, y = M·x + bias: what a 1×1 convolution and the Gram matrix's gradient share.

use crate::error::Result;
use crate::gpu::{KernelId, Recorder, Shader, Value};
use crate::shader;

/// For GPUs, through workgroup memory; any shape.
pub(super) static TILED: Shader = shader!("product");
/// For software drivers, with the matrix from a uniform window.
pub(super) static UNIFORM: Shader = shader!("product_uniform");
/// Maps with any number of pixels are not aligned to vec4.
pub(super) static UNIFORM_ANY: Shader = shader!("product_uniform_any");
static MULTIPLY_TILED: KernelId = KernelId::new(&TILED, "multiply");
static MULTIPLY_UNIFORM: KernelId = KernelId::new(&UNIFORM, "multiply");
static MULTIPLY_UNIFORM_ANY: KernelId = KernelId::new(&UNIFORM_ANY, "multiply");

/// Numbers of a uniform window: 64 KiB.
const WINDOW: usize = 16_384;
/// Rows of a block of the packed matrix.
const BLOCK: usize = 16;
/// Workgroups along x of the tiled kernel before it folds into z.
const FOLD: usize = 32_768;

/// y = or += M·x + bias, then optionally max(·, 0). x: C×H×W, y: O×H×W.
pub(super) struct Product<'a> {
    pub x: &'a Value,
    pub y: &'a Value,
    /// O×C, packed: [`length`] numbers, element (o, i) at [`place`].
    pub matrix: &'a Value,
    pub bias: Option<&'a Value>,
    pub relu: bool,
    pub accumulate: bool,
}

/// Numbers of a packed matrix: whole blocks, and a window more, because the last block's window is
/// bound whole, too.
pub(super) fn length(rows: usize, columns: usize) -> usize {
    blocks_length(rows, columns) + WINDOW
}

/// Numbers of the blocks alone.
pub(super) fn blocks_length(rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(BLOCK) * columns.next_multiple_of(4)
}

/// Where the element of a row and a column stands in a packed matrix with so many columns: by block
/// of 16 rows, four columns, row, column.
pub(super) fn place(row: usize, column: usize, columns: usize) -> usize {
    ((row / BLOCK * columns.div_ceil(4) + column / 4) * BLOCK + row % BLOCK) * 4 + column % 4
}

/// Pixels of a workgroup of the uniform kernels.
fn run(pixels: usize) -> usize {
    if pixels.is_multiple_of(4) { 128 } else { 64 }
}

impl Product<'_> {
    /// Output channels, input channels, pixels.
    fn extents(&self) -> [usize; 3] {
        let [x, y] = [self.x.shape().dims(), self.y.shape().dims()];
        [y[0], x[0], x[1] * x[2]]
    }

    /// Records it, for software drivers or for GPUs.
    pub fn record(&self, recorder: &mut Recorder, uniform: bool) -> Result<()> {
        let [_, c, n] = self.extents();
        // A window must hold a whole block, and the grid of the uniform kernel does not fold.
        let fits = BLOCK * c.next_multiple_of(4) <= WINDOW && n <= run(n) * 65_535;
        if uniform && fits { self.uniform(recorder) } else { self.tiled(recorder) }
    }

    /// The bias, or anything: kernels that are told to leave it out bind it all the same.
    fn bias(&self) -> &Value {
        self.bias.unwrap_or(self.x)
    }

    fn tiled(&self, recorder: &mut Recorder) -> Result<()> {
        let [o, c, n] = self.extents();
        let call = recorder.kernel(&MULTIPLY_TILED)?.bind("x", self.x).bind("m", self.matrix);
        let call = call.bind("bias", self.bias()).bind("y", self.y);
        let call = call.set("in_channels", c).set("out_channels", o).set("pixels", n);
        let call = call.set("accumulate", self.accumulate).set("relu", self.relu);
        let call = call.set("add_bias", self.bias.is_some()).flops(flops(o, c, n));
        let groups = n.div_ceil(128);
        call.groups([groups.min(FOLD), o.div_ceil(64), groups.div_ceil(FOLD)].map(|g| g as u32))
    }

    fn uniform(&self, recorder: &mut Recorder) -> Result<()> {
        let [o, c, n] = self.extents();
        let kernel = if n % 4 == 0 { &MULTIPLY_UNIFORM } else { &MULTIPLY_UNIFORM_ANY };
        let block = BLOCK * c.next_multiple_of(4);
        let (blocks, together) = (o.div_ceil(BLOCK), WINDOW / block);
        for first in (0..blocks).step_by(together) {
            let some = together.min(blocks - first);
            let call = recorder.kernel(kernel)?.bind("x", self.x).bind("y", self.y);
            let (offset, bytes) = (4 * (first * block) as u64, 4 * WINDOW as u64);
            let call = call.bind_window("m", self.matrix, offset, bytes).bind("bias", self.bias());
            let call = call.set("in_channels", c).set("out_channels", o).set("pixels", n);
            let call = call.set("first_out", first * BLOCK).set("accumulate", self.accumulate);
            let call = call.set("add_bias", self.bias.is_some()).set("relu", self.relu);
            let share = (some * BLOCK).min(o - first * BLOCK);
            let call = call.flops(flops(share, c, n));
            call.groups([n.div_ceil(run(n)) as u32, some as u32, 1])?;
        }
        Ok(())
    }
}

/// Multiplications and additions.
fn flops(rows: usize, columns: usize, pixels: usize) -> u64 {
    2 * rows as u64 * columns as u64 * pixels as u64
}

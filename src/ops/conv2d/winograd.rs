//! Winograd's minimal filtering F(4×4, 3×3): a quarter of the multiplications, in three stages: the
//! input's transform, 36 matrix products, the output's transform.
//!
//! The products run fastest over long rows of pixels, with few rows in the matrix. So where there are more
//! tiles than channels, the tiles are the pixels and the weights the matrix, and the map goes through in
//! bands, so that the workspace stays small at any size. Where there are fewer, it is the other way round.

use super::convolution::Convolution;
use super::pack;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, Gpu, KernelId, Recorder, Shader, Value};
use crate::ops::product::{self, Product, RUN};

pub(super) static SHADER: Shader = shader!("winograd");
static TRANSFORM_INPUT: KernelId = KernelId::new(&SHADER, "transform_input");
static TRANSFORM_INPUT_ALIGNED: KernelId = KernelId::new(&SHADER, "transform_input_aligned");
static TRANSFORM_INPUT_DEEP: KernelId = KernelId::new(&SHADER, "transform_input_deep");
static TRANSFORM_OUTPUT: KernelId = KernelId::new(&SHADER, "transform_output");
static TRANSFORM_OUTPUT_ALIGNED: KernelId = KernelId::new(&SHADER, "transform_output_aligned");
static TRANSFORM_OUTPUT_DEEP: KernelId = KernelId::new(&SHADER, "transform_output_deep");

/// Products of a tile: 6×6.
const POINTS: usize = 36;
/// Pixels of y along a tile's side.
const SIDE: usize = 4;
/// Tiles, or channels of a deep map, of an invocation.
const QUAD: usize = 4;
/// Invocations of a workgroup.
const LANES: usize = 8;
/// Columns of the grid: quads of a run.
const COLUMNS: usize = RUN / QUAD;
/// Numbers of a band's workspace, transformed inputs and products together: 16 MiB, or a run's.
const WORKSPACE: usize = 4 << 20;
/// Most bytes of a buffer: every adapter binds 128 MiB at once.
const MOST_BYTES: usize = 127 << 20;
/// Fewer channels on either side, or fewer tiles, and the direct kernel is as fast: the transforms cost what
/// the products save, and the products' rows and runs would be mostly empty.
pub(super) const LEAST_CHANNELS: usize = 16;
/// The same beside the broadcast kernel, which is faster than the uniform one.
const LEAST_CHANNELS_BESIDE_BROADCAST: usize = 64;
const LEAST_TILES: usize = 12;

/// Tiles along x and in all.
fn tiles(pass: &Convolution<'_>) -> [usize; 2] {
    let [h, w] = pass.size();
    [w.div_ceil(SIDE), w.div_ceil(SIDE) * h.div_ceil(SIDE)]
}

/// Tiles of a band, whole runs: as few bands as the workspace allows, of equal size.
fn band(pass: &Convolution<'_>) -> usize {
    let [_, tiles] = tiles(pass);
    let most = WORKSPACE / (POINTS * (pass.in_channels() + pass.out_channels()));
    let bands = tiles.div_ceil(most.max(RUN));
    tiles.div_ceil(bands).next_multiple_of(RUN)
}

/// Whether a buffer of so many rows and columns for each point can be bound.
fn binds(rows: usize, columns: usize) -> bool {
    4 * POINTS * rows * columns <= MOST_BYTES
}

/// Whether the output channels are the products' pixels.
fn deep(pass: &Convolution<'_>) -> bool {
    let (c, o) = (pass.in_channels(), pass.out_channels());
    let rows = tiles(pass)[1].next_multiple_of(product::BLOCK);
    rows < o && c.is_multiple_of(QUAD) && binds(rows, c.max(o.next_multiple_of(RUN)))
}

/// Whether the products, the grids and one binding take this layer.
pub(super) fn fits(pass: &Convolution<'_>) -> bool {
    let (c, o) = (pass.in_channels(), pass.out_channels());
    let weights = binds(o.next_multiple_of(RUN), c.next_multiple_of(QUAD));
    weights && binds(RUN, c.max(o)) && product::fits(c, band(pass)) && band(pass) <= RUN * 65_535
}

/// Whether it is faster than the direct kernels on software drivers.
pub(super) fn pays(gpu: &Gpu, pass: &Convolution<'_>) -> bool {
    let least = if gpu.broadcasts() { LEAST_CHANNELS_BESIDE_BROADCAST } else { LEAST_CHANNELS };
    pass.in_channels().min(pass.out_channels()) >= least
        && tiles(pass)[1] >= LEAST_TILES
        && fits(pass)
}

pub(super) fn record(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    if deep(pass) { record_deep(pass, recorder) } else { record_wide(pass, recorder) }
}

/// The weights are the matrices, the tiles the pixels; in bands.
fn record_wide(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    let (c, o, [_, tiles], band) =
        (pass.in_channels(), pass.out_channels(), tiles(pass), band(pass));
    let u = pack::winograd(pass, recorder, false)?;
    let v = recorder.temporary([POINTS, band / RUN, c, RUN]);
    let m = recorder.temporary([POINTS, band / RUN, o, RUN]);
    let aligned = pass.size()[1].is_multiple_of(4);
    for first in (0..tiles).step_by(band) {
        let columns = band.min(tiles - first).div_ceil(QUAD);
        let grid = |middle| Grid { first, columns, middle, plane: band / QUAD * middle };
        let call = match aligned {
            true => recorder.kernel(&TRANSFORM_INPUT_ALIGNED).bind("x4", pass.x),
            false => recorder.kernel(&TRANSFORM_INPUT),
        };
        grid(c).transform_input(pass, call, &v)?;
        products(recorder, &v, &u, &m)?;
        let call = match aligned {
            true => recorder
                .kernel(&TRANSFORM_OUTPUT_ALIGNED)
                .bind("y4", pass.y)
                .bind_optional("gate4", pass.mask, pass.x),
            false => {
                let call = recorder.kernel(&TRANSFORM_OUTPUT).bind("y", pass.y);
                call.bind_optional("gate", pass.mask, pass.x)
            }
        };
        grid(o).transform_output(pass, call, &m)?;
    }
    Ok(())
}

/// The tiles are the rows of the matrices, the output channels the pixels.
fn record_deep(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    let (c, o, [_, tiles]) = (pass.in_channels(), pass.out_channels(), tiles(pass));
    let runs = o.div_ceil(RUN);
    let u = pack::winograd(pass, recorder, true)?;
    let v = recorder.temporary([product::length(POINTS, tiles, c)]);
    let m = recorder.temporary([POINTS, runs, tiles, RUN]);

    let plane = product::blocks_length(tiles, c) / QUAD;
    let grid = Grid { first: 0, columns: tiles, middle: c / QUAD, plane };
    grid.transform_input(pass, recorder.kernel(&TRANSFORM_INPUT_DEEP), &v)?;
    products(recorder, &u, &v, &m)?;
    let plane = runs * tiles * COLUMNS;
    let grid = Grid { first: 0, columns: o.div_ceil(QUAD), middle: tiles, plane };
    let call = recorder.kernel(&TRANSFORM_OUTPUT_DEEP).bind("y", pass.y);
    let call = call.bind_optional("gate", pass.mask, pass.x);
    grid.transform_output(pass, call, &m)
}

fn products(recorder: &mut Recorder, x: &Value, matrix: &Value, y: &Value) -> Result<()> {
    let (bias, relu, accumulate) = (None, false, false);
    Product { x, y, matrix, bias, relu, accumulate, mask: None }.record(recorder, true)
}

/// The invocations of a transform, as `winograd.wgsl` counts them.
struct Grid {
    /// First tile.
    first: usize,
    columns: usize,
    middle: usize,
    plane: usize,
}

impl Grid {
    fn transform_input(&self, pass: &Convolution<'_>, call: Call<'_>, v: &Value) -> Result<()> {
        let call = call.bind("x", pass.x).bind("v", v).set("accumulate", false);
        let call = call.set("add_bias", false).set("relu", false).set("mask", false);
        self.dispatch(pass, call)
    }

    fn transform_output(&self, pass: &Convolution<'_>, call: Call<'_>, m: &Value) -> Result<()> {
        let call = call.bind("m", m).bind_optional("bias", pass.bias, m);
        let call = call.set("accumulate", pass.accumulate);
        let call = call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu);
        self.dispatch(pass, call.set("mask", pass.mask.is_some()))
    }

    fn dispatch(&self, pass: &Convolution<'_>, call: Call<'_>) -> Result<()> {
        let ([h, w], [tiles_x, tiles]) = (pass.size(), tiles(pass));
        let call = call.set("width", w).set("height", h).set("tiles_x", tiles_x);
        let call = call.set("tiles", tiles).set("first_tile", self.first);
        let call = call.set("columns", self.columns).set("middle", self.middle);
        let call = call.set("plane", self.plane).set("channels", pass.out_channels());
        let call = pass.edges.set(call);
        let rows = self.columns.div_ceil(COLUMNS);
        call.groups([(COLUMNS / LANES * self.middle) as u32, rows as u32, 1])
    }
}

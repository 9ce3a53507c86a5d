//! Winograd's minimal filtering F(4×4, 3×3): a quarter of the multiplications, in three stages: the
//! input's transform, 36 matrix products, the output's transform. The map goes through them in bands,
//! so that the workspace stays small at any size.

use super::fast::Pass;
use crate::error::Result;
use crate::gpu::recorder::Storage;
use crate::gpu::{Call, KernelId, Recorder, Shader, Value};
use crate::ops::product::{self, Product, RUN};
use crate::shader;

pub(super) static SHADER: Shader = shader!("winograd");
static TRANSFORM_INPUT: KernelId = KernelId::new(&SHADER, "transform_input");
static TRANSFORM_INPUT_ALIGNED: KernelId = KernelId::new(&SHADER, "transform_input_aligned");
static TRANSFORM_OUTPUT: KernelId = KernelId::new(&SHADER, "transform_output");
static TRANSFORM_OUTPUT_ALIGNED: KernelId = KernelId::new(&SHADER, "transform_output_aligned");

/// Products of a tile: 6×6.
const POINTS: usize = 36;
/// Pixels of y along a tile's side.
const SIDE: usize = 4;
/// Tiles of an invocation.
const QUAD: usize = 4;
/// Invocations of a workgroup.
const LANES: usize = 8;
/// Most numbers of a band's workspace, transformed inputs and products together: 64 MiB.
const WORKSPACE: usize = 16 << 20;
/// Fewer channels on either side, or fewer tiles, and the direct kernel is as fast: the products' runs
/// would be mostly empty.
const LEAST_CHANNELS: usize = 16;
const LEAST_TILES: usize = 96;

/// Tiles along x and in all.
fn tiles(pass: &Pass<'_>) -> [usize; 2] {
    let [h, w] = pass.size();
    [w.div_ceil(SIDE), w.div_ceil(SIDE) * h.div_ceil(SIDE)]
}

/// Tiles of a band, whole runs: as few bands as the workspace allows, of equal size.
fn band(pass: &Pass<'_>) -> usize {
    let [_, tiles] = tiles(pass);
    let most = WORKSPACE / (POINTS * (pass.in_channels() + pass.out_channels()));
    let bands = tiles.div_ceil(most.max(RUN));
    tiles.div_ceil(bands).next_multiple_of(RUN)
}

/// Whether the products and the grids take this layer.
pub(super) fn fits(pass: &Pass<'_>) -> bool {
    let channels = pass.in_channels().max(pass.out_channels());
    product::fits(channels, band(pass))
}

/// Whether it is faster than the direct kernel on software drivers.
pub(super) fn pays(pass: &Pass<'_>) -> bool {
    let wide = pass.in_channels().min(pass.out_channels()) >= LEAST_CHANNELS;
    wide && tiles(pass)[1] >= LEAST_TILES && fits(pass)
}

pub(super) fn record(pass: &Pass<'_>, recorder: &mut Recorder) -> Result<()> {
    let (c, o, band) = (pass.in_channels(), pass.out_channels(), band(pass));
    let pack = |numbers: &[f32]| pack(pass, numbers);
    let memory = pass.weight.upload(recorder.gpu(), &pass.packing("winograd"), pack)?;
    let matrix = Value { shape: pass.weight.shape().clone(), storage: Storage::Owned(memory) };
    let v = recorder.temporary([POINTS, band / RUN, c, RUN]);
    let m = recorder.temporary([POINTS, band / RUN, o, RUN]);
    for first in (0..tiles(pass)[1]).step_by(band) {
        let band = Band { pass, first, tiles: band };
        band.transform_input(recorder, &v)?;
        let (matrix, relu, accumulate) = (&matrix, false, false);
        Product { x: &v, y: &m, matrix, bias: None, relu, accumulate }.record(recorder, true)?;
        band.transform_output(recorder, &m)?;
    }
    Ok(())
}

/// A part of the map's tiles on its way through the stages.
struct Band<'a> {
    pass: &'a Pass<'a>,
    first: usize,
    /// Tiles of the workspace; the last band may have fewer.
    tiles: usize,
}

impl Band<'_> {
    /// Rows of four pixels can be loaded and stored at once.
    fn aligned(&self) -> bool {
        self.pass.size()[1].is_multiple_of(4)
    }

    fn transform_input(&self, recorder: &mut Recorder, v: &Value) -> Result<()> {
        let (x, c) = (self.pass.x, self.pass.in_channels());
        let call = match self.aligned() {
            true => recorder.kernel(&TRANSFORM_INPUT_ALIGNED)?.bind("x4", x),
            false => recorder.kernel(&TRANSFORM_INPUT)?,
        };
        let call = call.bind("x", x).bind("v", v).set("accumulate", false).set("add_bias", false);
        self.dispatch(call.set("relu", false), c)
    }

    fn transform_output(&self, recorder: &mut Recorder, m: &Value) -> Result<()> {
        let (pass, o) = (self.pass, self.pass.out_channels());
        let call = match self.aligned() {
            true => recorder.kernel(&TRANSFORM_OUTPUT_ALIGNED)?.bind("y4", pass.y),
            false => recorder.kernel(&TRANSFORM_OUTPUT)?.bind("y", pass.y),
        };
        let call = call.bind("m", m).bind("bias", pass.bias()).set("accumulate", pass.accumulate);
        self.dispatch(call.set("add_bias", pass.bias.is_some()).set("relu", pass.relu), o)
    }

    /// Four tiles of a channel an invocation, channels before runs.
    fn dispatch(&self, call: Call<'_>, channels: usize) -> Result<()> {
        let ([h, w], [tiles_x, tiles]) = (self.pass.size(), tiles(self.pass));
        let own = self.tiles.min(tiles - self.first);
        let call = call.set("width", w).set("height", h).set("tiles_x", tiles_x);
        let call = call.set("tiles", tiles).set("first_tile", self.first);
        let call = call.set("quads", own.div_ceil(QUAD)).set("plane", self.tiles / QUAD * channels);
        let call = call.set("channels", channels).set("padding", self.pass.mode.code());
        call.groups([(RUN / QUAD / LANES * channels) as u32, own.div_ceil(RUN) as u32, 1])
    }
}

/// G of F(4, 3) at the points 0, ±1/√2, ±√2, ∞: a row (1, p, p²) over the product of p's distances to
/// the others.
fn filter_transform() -> [[f64; 3]; 6] {
    let (near, far) = (0.5_f64, 2.0_f64);
    let row = |point: f64, over: f64| [1.0 / over, point / over, point * point / over];
    let (over_near, over_far) = (2.0 * near * (near - far), 2.0 * far * (far - near));
    [
        row(0.0, near * far),
        row(near.sqrt(), over_near),
        row(-near.sqrt(), over_near),
        row(far.sqrt(), over_far),
        row(-far.sqrt(), over_far),
        [0.0, 0.0, 1.0],
    ]
}

/// G w Gᵀ for every pair of channels, in f64: 36 packed matrices.
fn pack(pass: &Pass<'_>, numbers: &[f32]) -> Vec<f32> {
    let (c, o, g) = (pass.in_channels(), pass.out_channels(), filter_transform());
    let mut packed = vec![0.0; product::length(POINTS, o, c)];
    let matrix = product::blocks_length(o, c);
    for out in 0..o {
        for i in 0..c {
            let tap = |row, column| f64::from(pass.tap(numbers, out, i, row, column));
            let place = product::place(out, i, c);
            for (k, row) in g.iter().enumerate() {
                let line: [f64; 3] =
                    std::array::from_fn(|column| (0..3).map(|r| row[r] * tap(r, column)).sum());
                for (l, column) in g.iter().enumerate() {
                    let sum: f64 = (0..3).map(|s| line[s] * column[s]).sum();
                    packed[(6 * k + l) * matrix + place] = sum as f32;
                }
            }
        }
    }
    packed
}

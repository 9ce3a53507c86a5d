//! The variant for software drivers: register tiles, and weights from a uniform window.
//!
//! A uniform buffer binds 64 KiB at most, so a layer is cut into windows: some blocks of eight output
//! channels times a chunk of input channels, one dispatch each.

use super::convolution::Convolution;
use super::pack;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader};

pub(super) static SHADER: Shader = shader!("conv2d_uniform");
static CONVOLVE_ALIGNED: KernelId =
    KernelId { shader: &SHADER, entry: "convolve_aligned", constants: &[("ALIGNED", 1.0)] };
/// Rows of any width are not aligned to vec4.
static CONVOLVE: KernelId =
    KernelId { shader: &SHADER, entry: "convolve", constants: &[("ALIGNED", 0.0)] };

/// vec4 of a window: 64 KiB.
const WINDOW: usize = 4096;
/// Output channels of a block.
const BLOCK: usize = 8;
/// vec4 that hold a block's weights for one input channel: a row of taps each.
const UNIT: usize = 3 * BLOCK;
/// Offsets of bindings are multiples of 256 bytes, in vec4.
const ALIGNMENT: usize = 16;
/// Invocations of a workgroup, a tile of pixels each.
const LANES: usize = 8;
/// Workgroups that a dispatch should have, so that every core has work.
const WORKGROUPS: usize = 4;

/// One dispatch's share of the weights.
struct Piece {
    first_out: usize,
    blocks: usize,
    first_in: usize,
    chunk: usize,
    /// Where its window begins, in vec4.
    offset: usize,
}

/// Blocks and input channels of a window. A dispatch has as many blocks as it takes to occupy the cores, but no
/// more: longer chunks read y less often again.
fn cut(pass: &Convolution<'_>, blocks_at_least: usize) -> [usize; 2] {
    let (c, blocks) = (pass.in_channels(), pass.out_channels().div_ceil(BLOCK));
    let most = WINDOW / UNIT;
    let wanted = blocks_at_least.min(blocks);
    let chunks = c.div_ceil(most / wanted);
    let chunk = c.div_ceil(chunks);
    [if chunks == 1 { (most / chunk).clamp(1, blocks) } else { wanted }, chunk]
}

/// A layer's pieces, and how many vec4 they take together.
fn pieces(pass: &Convolution<'_>, [together, chunk]: [usize; 2]) -> (Vec<Piece>, usize) {
    let (c, blocks) = (pass.in_channels(), pass.out_channels().div_ceil(BLOCK));
    let (mut pieces, mut end) = (Vec::new(), 0);
    for first in (0..blocks).step_by(together) {
        let blocks = together.min(blocks - first);
        for first_in in (0..c).step_by(chunk) {
            let chunk = chunk.min(c - first_in);
            pieces.push(Piece { first_out: first * BLOCK, blocks, first_in, chunk, offset: end });
            end += (blocks * chunk * UNIT).next_multiple_of(ALIGNMENT);
        }
    }
    (pieces, end)
}

/// Tiles along x, tiles in all, and workgroups, for a map of that size.
fn grid([h, w]: [usize; 2]) -> [usize; 3] {
    let tiles_x = w.div_ceil(8);
    let tiles = tiles_x * h.div_ceil(4);
    [tiles_x, tiles, tiles.div_ceil(LANES)]
}

/// Whether the map has few enough tiles for the grid, which does not fold.
pub(super) fn fits(pass: &Convolution<'_>) -> bool {
    grid(pass.size())[2] <= 65_535
}

pub(super) fn record(pass: &Convolution<'_>, recorder: &mut Recorder) -> Result<()> {
    let ([h, w], c, o) = (pass.size(), pass.in_channels(), pass.out_channels());
    let [tiles_x, tiles, groups] = grid(pass.size());
    let cut = cut(pass, WORKGROUPS.div_ceil(groups));
    let (pieces, end) = pieces(pass, cut);
    // The last window is bound whole, too.
    let length = pieces.last().map_or(0, |piece| piece.offset) + WINDOW;
    let weight = pack::windows(pass, recorder, cut, [4 * end, 4 * length])?;
    for piece in &pieces {
        let (first, last) = (piece.first_in == 0, piece.first_in + piece.chunk == c);
        let call = match w % 4 {
            0 => recorder.kernel(&CONVOLVE_ALIGNED).bind("y4", pass.y),
            _ => recorder.kernel(&CONVOLVE).bind("y", pass.y),
        };
        let call =
            call.bind("x", pass.x).bind("x4", pass.x).bind_optional("bias", pass.bias, pass.x);
        let call =
            call.bind_window("weight", &weight, 16 * piece.offset as u64, 16 * WINDOW as u64);
        let call =
            call.set("width", w).set("height", h).set("tiles_x", tiles_x).set("tiles", tiles);
        let call = call.set("out_channels", o).set("first_out", piece.first_out);
        let call = call.set("first_in", piece.first_in).set("chunk", piece.chunk);
        let call = pass.edges.set(call).set("accumulate", pass.accumulate || !first);
        let call = call.set("add_bias", pass.bias.is_some() && first);
        let call = call.set("relu", pass.relu && last);
        let outputs = (piece.blocks * BLOCK).min(o - piece.first_out);
        let call = call.flops(pass.flops(outputs, piece.chunk));
        call.groups([groups as u32, piece.blocks as u32, 1])?;
    }
    Ok(())
}

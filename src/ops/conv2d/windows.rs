//! Weights from uniform windows, for software drivers, where a uniform buffer's loads cost a third of a
//! storage buffer's.
//!
//! A uniform buffer binds 64 KiB at most, so a layer is cut into windows: some blocks of output
//! channels times a chunk of input channels, one dispatch each.

use super::fast::Pass;
use crate::error::Result;
use crate::gpu::recorder::Storage;
use crate::gpu::{Call, KernelId, Recorder, Value};

/// vec4 of a window: 64 KiB.
const WINDOW: usize = 4096;
/// Offsets of bindings are multiples of 256 bytes, in vec4.
const ALIGNMENT: usize = 16;
/// Workgroups that a dispatch should have, so that every core has work.
const WORKGROUPS: usize = 4;

/// How a kernel wants its weights.
pub(super) struct Layout {
    /// What it is called.
    pub name: &'static str,
    /// Output channels of a block.
    pub block: usize,
    /// vec4 that hold a block's weights for one input channel.
    pub unit: usize,
    /// Where among them a number stands, for an output channel of the block and a tap.
    pub place: fn(usize, usize) -> usize,
}

/// One dispatch's share of the weights.
struct Piece {
    first_out: usize,
    blocks: usize,
    first_in: usize,
    chunk: usize,
    /// Where its window begins, in vec4.
    offset: usize,
}

impl Layout {
    /// Records a dispatch for every window. `workgroups` are those of a block, `grid` makes the grid of so many
    /// blocks, and `prepare` binds and sets what the kernel has beyond the window.
    pub fn record(
        &self,
        pass: &Pass<'_>,
        recorder: &mut Recorder,
        kernel: &'static KernelId,
        workgroups: usize,
        grid: impl Fn(usize) -> [usize; 3],
        prepare: impl for<'r> Fn(Call<'r>) -> Call<'r>,
    ) -> Result<()> {
        let (c, o) = (pass.in_channels(), pass.out_channels());
        let blocks_at_least = WORKGROUPS.div_ceil(workgroups);
        let (pieces, length) = self.pieces(pass, blocks_at_least);
        let packing = pass.packing(&format!("{}, {blocks_at_least} blocks", self.name));
        let pack = |numbers: &[f32]| self.pack(pass, &pieces, length, numbers);
        let memory = pass.weight.upload(recorder.gpu(), &packing, pack)?;
        let weight = Value { shape: pass.weight.shape().clone(), storage: Storage::Owned(memory) };
        for piece in &pieces {
            let (first, last) = (piece.first_in == 0, piece.first_in + piece.chunk == c);
            let (offset, bytes) = (16 * piece.offset as u64, 16 * WINDOW as u64);
            let call =
                prepare(recorder.kernel(kernel)?).bind_window("weight", &weight, offset, bytes);
            let call = call.bind("bias", pass.bias()).set("out_channels", o);
            let call = call.set("first_out", piece.first_out).set("first_in", piece.first_in);
            let call = call.set("chunk", piece.chunk).set("padding", pass.mode.code());
            let call = call.set("accumulate", pass.accumulate || !first);
            let call = call.set("add_bias", pass.bias.is_some() && first);
            let call = call.set("relu", pass.relu && last);
            let outputs = (piece.blocks * self.block).min(o - piece.first_out);
            let call = call.flops(pass.flops(outputs, piece.chunk));
            call.groups(grid(piece.blocks).map(|n| n as u32))?;
        }
        Ok(())
    }

    /// Cuts a layer into pieces, and says how many vec4 they take together. A dispatch has as many
    /// blocks as it takes to occupy the cores, but no more: longer chunks read y less often again.
    fn pieces(&self, pass: &Pass<'_>, blocks_at_least: usize) -> (Vec<Piece>, usize) {
        let (c, blocks) = (pass.in_channels(), pass.out_channels().div_ceil(self.block));
        let most = WINDOW / self.unit;
        let wanted = blocks_at_least.min(blocks);
        let chunks = c.div_ceil(most / wanted);
        let chunk = c.div_ceil(chunks);
        let together = if chunks == 1 { (most / chunk).clamp(1, blocks) } else { wanted };
        let (mut pieces, mut end) = (Vec::new(), 0);
        for first in (0..blocks).step_by(together) {
            let blocks = together.min(blocks - first);
            for first_in in (0..c).step_by(chunk) {
                let (first_out, chunk) = (first * self.block, chunk.min(c - first_in));
                pieces.push(Piece { first_out, blocks, first_in, chunk, offset: end });
                end += (blocks * chunk * self.unit).next_multiple_of(ALIGNMENT);
            }
        }
        // The last window is bound whole, too.
        let length = pieces.last().map_or(0, |piece| piece.offset) + WINDOW;
        (pieces, length)
    }

    /// By piece, block of outputs, input of the chunk; what cannot be seen stays 0.
    fn pack(&self, pass: &Pass<'_>, pieces: &[Piece], length: usize, numbers: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; 4 * length];
        for piece in pieces {
            let outputs = (piece.blocks * self.block).min(pass.out_channels() - piece.first_out);
            for out in 0..outputs {
                for i in 0..piece.chunk {
                    let (o, input) = (piece.first_out + out, piece.first_in + i);
                    let unit = piece.offset + (out / self.block * piece.chunk + i) * self.unit;
                    for tap in 0..9 {
                        let number = pass.tap(numbers, o, input, tap / 3, tap % 3);
                        packed[4 * unit + (self.place)(out % self.block, tap)] = number;
                    }
                }
            }
        }
        packed
    }
}

//! The forward pass: partial products, then their sum.

use super::variant::{SHADER, Variant, extents, flops};
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{KernelId, Recorder, Shader, Value};

pub(super) static SPLIT: Shader = shader!("gram_split");
static PARTIAL_PRODUCTS: KernelId = KernelId::new(&SHADER, "partial_products");
static FINISH: KernelId = KernelId::new(&SHADER, "finish");
static SPLIT_ALIGNED: KernelId =
    KernelId { shader: &SPLIT, entry: "partial_products", constants: &[("ALIGNED", 1.0)] };
static SPLIT_ANY: KernelId =
    KernelId { shader: &SPLIT, entry: "partial_products", constants: &[("ALIGNED", 0.0)] };

/// How the work is cut.
struct Cut {
    /// Channels of a tile.
    tile: usize,
    /// Pairs of tiles on and above the diagonal.
    pairs: usize,
    /// Shares of the pixels.
    splits: usize,
    /// Pixels of a share, where shares are contiguous.
    span: usize,
}

impl Cut {
    fn new(variant: Variant, [channels, pixels]: [usize; 2]) -> Self {
        let pairs = |tile: usize| channels.div_ceil(tile) * (channels.div_ceil(tile) + 1) / 2;
        match variant {
            // About 512 workgroups, each with at least 256 pixels.
            Variant::Tiled => {
                let tile = 64;
                let shares = (512 / pairs(tile)).max(1);
                let span = pixels.div_ceil(shares).max(256).next_multiple_of(16);
                Cut { tile, pairs: pairs(tile), splits: pixels.div_ceil(span), span }
            }
            // Lanes come in eights; each has about 1024 pixels, more where the partial sums would
            // outgrow the map.
            Variant::Uniform => {
                let most = (4096 / pairs(16)).clamp(1, 64);
                let splits = 8 * pixels.div_ceil(8 * 1024).clamp(1, most);
                Cut { tile: 16, pairs: pairs(16), splits, span: 0 }
            }
        }
    }
}

pub(super) fn record(
    variant: Variant,
    recorder: &mut Recorder,
    x: &Value,
    y: &Value,
) -> Result<()> {
    let [c, n] = extents(x.shape())?;
    let cut = Cut::new(variant, [c, n]);
    let partials = recorder.temporary([cut.splits, cut.pairs, cut.tile, cut.tile]);
    let scale = 1.0 / n as f32;
    match variant {
        Variant::Tiled => {
            let call = recorder.kernel(&PARTIAL_PRODUCTS).bind("x", x).bind("partials", &partials);
            let call = call.set("channels", c).set("pixels", n).set("span", cut.span);
            let call = call.set("pairs", cut.pairs).set("tile", cut.tile);
            let call = call.set("splits", cut.splits);
            let groups = [cut.splits as u32, cut.pairs as u32, 1];
            call.set("scale", scale).flops(flops([c, n])).groups(groups)?;
        }
        Variant::Uniform => {
            let kernel = if n % 4 == 0 { &SPLIT_ALIGNED } else { &SPLIT_ANY };
            let call = recorder.kernel(kernel).bind("x", x).bind("x4", x);
            let call = call.bind("partials", &partials).set("channels", c).set("pixels", n);
            let call = call.set("splits", cut.splits).set("pairs", cut.pairs);
            let groups = [(cut.splits / 8) as u32, cut.pairs as u32, 1];
            call.flops(flops([c, n])).groups(groups)?;
        }
    }
    let call = recorder.kernel(&FINISH).bind("partials", &partials).bind("y", y);
    let call = call.set("channels", c).set("pixels", n).set("span", cut.span);
    let call = call.set("pairs", cut.pairs).set("tile", cut.tile).set("splits", cut.splits);
    call.set("scale", scale).over(c * c)
}

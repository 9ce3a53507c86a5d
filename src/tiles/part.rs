//! The loss of a part of a picture, in two passes: the first adds the part's share to the moments of the whole,
//! the second follows their gradient, which is known by then, back to the part's pixels, with what needs
//! no knowledge of the whole.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::gpu::{Gpu, Phase, Tensor, Value};
use crate::loss::detail;
use crate::loss::regions::{Guide, Guides};
use crate::loss::style::{self, Order, Statistics, StyleLoss};
use crate::loss::targets::{LayerWeight, LossSettings, weighted_mean};
use crate::nets::Graph;
use crate::ops;
use crate::tape::inplace::scaled;
use crate::tape::loss_scale::LossScale;
use crate::tape::{Tape, Var};
use crate::tiles::grid::{Grid, Span};

/// What changes from tile to tile: the pixels, and how much they count in every map that a loss reads. Pixels that
/// are not the tile's own do not count.
pub(crate) struct Inputs {
    pub picture: Tensor,
    /// At the content layers, and at the style layers in every region.
    content: BTreeMap<String, (u32, Tensor)>,
    style: BTreeMap<(String, usize), (u32, Tensor)>,
    frame: Tensor,
}

/// Layers that are read in parts.
#[derive(Clone, Copy)]
pub(crate) struct Taps<'a> {
    pub content: &'a [&'a str],
    pub style: &'a [&'a str],
    /// Number of regions.
    pub regions: usize,
}

impl Taps<'_> {
    /// The guides that there are at the style layers.
    fn guides(&self) -> impl Iterator<Item = (&str, usize)> {
        self.style.iter().flat_map(|tap| (0..self.regions).map(|region| (*tap, region)))
    }
}

impl Inputs {
    /// Memory for the tiles of a grid, and for guides at `taps`.
    pub fn new(gpu: &Gpu, graph: &Graph, grid: &Grid, taps: Taps<'_>) -> Result<Self> {
        let (width, height) = grid.tile;
        let guide = |tap: &str| {
            let (_, pools) = graph.at(tap)?;
            Ok((pools, gpu.zeros([1, height >> pools, width >> pools])?))
        };
        let (mut content, mut style) = (BTreeMap::new(), BTreeMap::new());
        for tap in taps.content {
            content.insert(tap.to_string(), guide(tap)?);
        }
        for (tap, region) in taps.guides() {
            style.insert((tap.to_string(), region), guide(tap)?);
        }
        let (picture, frame) = (gpu.zeros([3, height, width])?, gpu.zeros([8])?);
        Ok(Inputs { picture, content, style, frame })
    }

    /// Hands a tile's pixels to the GPU. `rgb` is the whole picture, 3×H×W.
    pub fn load(&self, gpu: &Gpu, grid: &Grid, tile: (&Span, &Span), rgb: &[f32]) -> Result<()> {
        gpu.write(&self.picture, &cut(grid, tile, rgb))
    }

    /// Says which of a tile's pixels count, and how much. `guides` are the whole picture's.
    pub fn guide(
        &self,
        gpu: &Gpu,
        grid: &Grid,
        tile: (&Span, &Span),
        guides: &Guides,
    ) -> Result<()> {
        let (column, row) = tile;
        for (pools, tensor) in self.content.values() {
            gpu.write(tensor, &own_part(grid, tile, *pools, None))?;
        }
        for ((tap, region), (pools, tensor)) in &self.style {
            gpu.write(tensor, &own_part(grid, tile, *pools, guides.at(tap, *region)))?;
        }
        let (across, down) = (column.own_at(0), row.own_at(0));
        let (width, height) = grid.size;
        let window = [across.start, down.start, across.end, down.end];
        let frame = [column.origin, row.origin, width, height];
        let frame: Vec<f32> = window.into_iter().chain(frame).map(|edge| edge as f32).collect();
        gpu.write(&self.frame, &frame)
    }

    /// What [`Part::record`] reads.
    pub fn vars(&self, tape: &mut Tape) -> Vars {
        let content = self.content.iter().map(|(tap, (_, g))| (tap.clone(), tape.constant(g)));
        let content = content.collect();
        let style = self.style.iter().map(|(key, (_, g))| (key.clone(), tape.constant(g)));
        let style = style.collect();
        let (picture, frame) = (tape.variable(&self.picture), tape.constant(&self.frame));
        Vars { picture, content, style, frame }
    }
}

/// A tile's part of a guide, or of ones; 0 where a pixel is not its own.
fn own_part(
    grid: &Grid,
    (column, row): (&Span, &Span),
    pools: u32,
    guide: Option<&Guide>,
) -> Vec<f32> {
    let (width, height) = (grid.tile.0 >> pools, grid.tile.1 >> pools);
    let mut part = vec![0.0; width * height];
    let (across, all) = (column.own_at(pools), grid.size.0 >> pools);
    for y in row.own_at(pools) {
        let line = &mut part[y * width..][..width];
        match guide {
            None => line[across.clone()].fill(1.0),
            Some(guide) => {
                let from = (y + (row.origin >> pools)) * all + (column.origin >> pools);
                let roots = &guide.roots[from..];
                line[across.clone()].copy_from_slice(&roots[across.clone()]);
            }
        }
    }
    part
}

/// A tile as a recording sees it.
pub(crate) struct Vars {
    pub picture: Var,
    content: BTreeMap<String, Var>,
    style: BTreeMap<(String, usize), Var>,
    frame: Var,
}

impl Vars {
    /// Stand-ins for the tiles of a grid, to plan with.
    pub fn placeholders(
        tape: &mut Tape,
        graph: &Graph,
        grid: &Grid,
        taps: Taps<'_>,
    ) -> Result<Self> {
        let (width, height) = grid.tile;
        let mut guide = |tap: &str| {
            let (_, pools) = graph.at(tap)?;
            Ok(tape.placeholder([1, height >> pools, width >> pools], false))
        };
        let (mut content, mut style) = (BTreeMap::new(), BTreeMap::new());
        for tap in taps.content {
            content.insert(tap.to_string(), guide(tap)?);
        }
        for (tap, region) in taps.guides() {
            style.insert((tap.to_string(), region), guide(tap)?);
        }
        let picture = tape.placeholder([3, height, width], true);
        Ok(Vars { picture, content, style, frame: tape.placeholder([8], false) })
    }

    /// The guide at a content layer.
    pub fn guide(&self, tap: &str) -> Var {
        self.content[tap]
    }
}

/// A tile's pixels.
pub(crate) fn cut(grid: &Grid, (column, row): (&Span, &Span), rgb: &[f32]) -> Vec<f32> {
    let ((width, height), (tile_width, tile_height)) = (grid.size, grid.tile);
    let mut pixels = Vec::with_capacity(3 * tile_width * tile_height);
    for line in 0..3 * tile_height {
        let y = line / tile_height * height + row.origin + line % tile_height;
        pixels.extend_from_slice(&rgb[y * width + column.origin..][..tile_width]);
    }
    pixels
}

/// Adds a tile's gradient to the whole picture's.
pub(crate) fn paste(
    grid: &Grid,
    (column, row): (&Span, &Span),
    gradient: &[f32],
    whole: &mut [f32],
) {
    let ((width, height), (tile_width, tile_height)) = (grid.size, grid.tile);
    for (line, from) in gradient.chunks_exact(tile_width).enumerate() {
        let y = line / tile_height * height + row.origin + line % tile_height;
        let to = &mut whole[y * width + column.origin..][..tile_width];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}

/// Pixels of the whole picture's map at a tap.
pub(crate) fn pixels_of(graph: &Graph, grid: &Grid, tap: &str) -> Result<usize> {
    let (_, pools) = graph.at(tap)?;
    Ok((grid.size.0 >> pools) * (grid.size.1 >> pools))
}

/// The moments of a tile in every region, over the tile's pixels.
pub(crate) fn moments_of_part(
    tape: &mut Tape,
    loss: StyleLoss,
    vars: &Vars,
    (tap, features): (&str, Var),
) -> Result<Vec<(usize, Statistics)>> {
    tape.scope(format!("style {tap}"));
    let own = vars.style.iter().filter(|((of, _), _)| of == tap);
    let moments = own.map(|((_, region), guide)| {
        Ok((*region, style::measure_guided(tape, features, *guide, loss)?))
    });
    moments.collect()
}

/// The factor that makes a tile's moments its share of the whole's.
pub(crate) fn share_factor(
    graph: &Graph,
    grid: &Grid,
    (tap, region): (&str, usize),
    guides: &Guides,
) -> Result<f32> {
    let (_, pools) = graph.at(tap)?;
    let tile = (grid.tile.0 >> pools) * (grid.tile.1 >> pools);
    let share = tile as f32 / pixels_of(graph, grid, tap)? as f32;
    Ok(share * guides.at(tap, region).map_or(1.0, Guide::factor))
}

/// A moment of a style layer in a region.
pub(crate) type Key = (String, usize, Order);

/// What a part records.
pub(crate) struct Part {
    /// The part's moments, each with the factor that makes it a share of the whole's.
    pub moments: BTreeMap<Key, (Var, f32)>,
    /// The part's share of the content loss, a scalar.
    pub content: Var,
    /// Its share of the total variation.
    pub variation: Var,
    /// Its share of the detail, where that counts.
    pub detail: Option<Var>,
}

impl Part {
    /// Records the network over a tile of the picture and of the content. `scales` are the denominators of the
    /// content layers' relative errors. What needs no Gram matrices belongs to the pass `own`: the second, or both
    /// where the second only goes on where the first ended.
    pub fn record(
        tape: &mut Tape,
        graph: &Graph,
        (grid, settings, guides): (&Grid, &LossSettings, &Guides),
        (vars, content_pixels): (&Vars, Var),
        scales: &[(LayerWeight, Value)],
        own: Phase,
    ) -> Result<Part> {
        // Recomputed rather than kept: a whole picture's features are many times its size.
        tape.recorder().phase = own;
        let mut targets = BTreeMap::new();
        let taps: Vec<&str> = scales.iter().map(|(layer, _)| layer.layer.as_str()).collect();
        graph.record(tape, content_pixels, &taps, &mut |_, tap, features| {
            targets.insert(tap.to_string(), features);
            Ok(())
        })?;
        tape.recorder().phase = Phase::Every;
        let style_layers = LossSettings::counted(&settings.style_layers);
        let (mut moments, mut terms) = (BTreeMap::new(), Vec::new());
        let taps: Vec<&str> =
            taps.into_iter().chain(style_layers.iter().map(|l| l.layer.as_str())).collect();
        graph.record(tape, vars.picture, &taps, &mut |tape, tap, features| {
            let free = tape.detached(features);
            let seen = if settings.content_weight > 0.0 { features } else { free };
            tape.recorder().phase = own;
            for (layer, scale) in scales.iter().filter(|(layer, _)| layer.layer == tap) {
                tape.scope(format!("content {tap}"));
                let (guide, scale) = (vars.guide(tap), tape.given(scale));
                let channels = tape.shape(seen).elements() / tape.shape(guide).elements();
                let factor = 1.0 / (channels * pixels_of(graph, grid, tap)?) as f32;
                let term = ops::guided_error(tape, [seen, targets[tap]], scale, factor, guide)?;
                terms.push((layer.weight, term));
            }
            tape.recorder().phase = Phase::First;
            let seen = if settings.style_weight > 0.0 { features } else { free };
            if style_layers.iter().any(|l| l.layer == tap) {
                for (region, seen) in moments_of_part(tape, settings.style_loss, vars, (tap, seen))?
                {
                    let factor = share_factor(graph, grid, (tap, region), guides)?;
                    for (order, moment) in seen.parts() {
                        moments.insert((tap.to_string(), region, order), (moment, factor));
                    }
                }
            }
            tape.recorder().phase = Phase::Every;
            Ok(())
        })?;
        tape.recorder().phase = own;
        tape.scope("loss");
        let content = weighted_mean(tape, terms)?;
        let seen =
            if settings.weights()[2] > 0.0 { vars.picture } else { tape.detached(vars.picture) };
        let kind = settings.variation;
        let variation = ops::partial_variation(tape, seen, kind, vars.frame, grid.size)?;
        let detail = (settings.detail_weight > 0.0)
            .then(|| detail::part(tape, [vars.picture, content_pixels], vars.frame, grid.size))
            .transpose()?;
        Ok(Part { moments, content, variation, detail })
    }
}

/// Where the shares of the parts are added up, and what comes back for the style.
pub(crate) struct Whole {
    /// The moments of the whole picture, and the gradients to them.
    pub moments: BTreeMap<Key, (Value, Option<Value>)>,
    /// The content loss.
    pub content: Value,
    /// The total variation.
    pub variation: Value,
    /// The detail.
    pub detail: Value,
    /// What the gradients to the moments were multiplied by.
    pub scale: LossScale,
}

impl Part {
    /// Records the sums over all parts and the gradient of the part's pixels; `None` where no loss counts. `weights`
    /// are those of content, style, total variation and detail.
    pub fn follow(
        &self,
        tape: &mut Tape,
        whole: &Whole,
        [content, style, variation, detail]: [f32; 4],
        (vars, own): (&Vars, Phase),
    ) -> Result<Option<Var>> {
        let seed = tape.given(&whole.scale.seed);
        let mut results = vec![(self.content, seed, content), (self.variation, seed, variation)];
        add_to(tape, own, (self.content, 1.0), &whole.content)?;
        add_to(tape, own, (self.variation, 1.0), &whole.variation)?;
        if let Some(share) = self.detail {
            results.push((share, seed, detail));
            add_to(tape, own, (share, 1.0), &whole.detail)?;
        }
        for (key, (moment, factor)) in &self.moments {
            let (sum, gradient) = &whole.moments[key];
            add_to(tape, Phase::First, (*moment, *factor), sum)?;
            if let Some(gradient) = gradient {
                results.push((*moment, tape.given(gradient), style * factor));
            }
        }
        tape.recorder().phase = Phase::Last;
        let gradients = tape.backward_from_all(&results)?;
        let Some(gradient) = tape.gradient(&gradients, vars.picture) else { return Ok(None) };
        let value = tape.value(gradient).clone();
        whole.scale.undo(tape.recorder(), &value)?;
        Ok(Some(gradient))
    }
}

/// Records `to` += factor · share.
pub(crate) fn add_to(
    tape: &mut Tape,
    phase: Phase,
    (share, factor): (Var, f32),
    to: &Value,
) -> Result<()> {
    tape.recorder().phase = phase;
    let share = tape.value(share).clone();
    scaled(tape.recorder(), &share, factor, to, true)
}

//! The loss of a part of a picture, in two passes: the first adds the part's share to the moments of the whole,
//! the second follows their gradient, which is known by then, back to the part's pixels, with what needs
//! no knowledge of the whole.

use std::collections::BTreeMap;

use super::detail;
use super::grid::{Grid, Span};
use super::loss::{LayerWeight, LossSettings, weighted_mean};
use super::style::{self, Order, Statistics, StyleLoss};
use crate::error::Result;
use crate::gpu::{Gpu, Pass, Value};
use crate::nets::Graph;
use crate::ops::{self, scale::scaled};
use crate::tape::{Tape, Var};
use crate::tensor::{Frozen, Tensor};

/// What changes from tile to tile: the pixels, and which of them are the tile's own in every map that a loss reads.
pub(super) struct Inputs {
    pub picture: Tensor,
    guides: BTreeMap<String, (u32, Tensor)>,
    frame: Tensor,
}

impl Inputs {
    /// Memory for the tiles of a grid, and for guides at `taps`.
    pub fn new(gpu: &Gpu, graph: &Graph, grid: &Grid, taps: &[&str]) -> Result<Self> {
        let (width, height) = grid.tile;
        let mut guides = BTreeMap::new();
        for tap in taps {
            let (_, pools) = graph.at(tap)?;
            let guide = gpu.zeros([1, height >> pools, width >> pools])?;
            guides.insert(tap.to_string(), (pools, guide));
        }
        Ok(Inputs { picture: gpu.zeros([3, height, width])?, guides, frame: gpu.zeros([8])? })
    }

    /// Hands a tile to the GPU. `rgb` is the whole picture, 3×H×W.
    pub fn load(&self, gpu: &Gpu, grid: &Grid, tile: (&Span, &Span), rgb: &[f32]) -> Result<()> {
        gpu.write(&self.picture, &cut(grid, tile, rgb))?;
        let (column, row) = tile;
        for (pools, guide) in self.guides.values() {
            let (across, down) = (column.own_at(*pools), row.own_at(*pools));
            let width = grid.tile.0 >> pools;
            let own = |at| {
                let inside = across.contains(&(at % width)) && down.contains(&(at / width));
                f32::from(u8::from(inside))
            };
            let numbers: Vec<f32> = (0..guide.shape().elements()).map(own).collect();
            gpu.write(guide, &numbers)?;
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
        let guides =
            self.guides.iter().map(|(tap, (_, g))| (tap.clone(), tape.constant(g))).collect();
        Vars { picture: tape.variable(&self.picture), guides, frame: tape.constant(&self.frame) }
    }
}

/// A tile as a recording sees it.
pub(super) struct Vars {
    pub picture: Var,
    guides: BTreeMap<String, Var>,
    frame: Var,
}

impl Vars {
    /// Stand-ins for the tiles of a grid, to plan with.
    pub fn placeholders(
        tape: &mut Tape,
        graph: &Graph,
        grid: &Grid,
        taps: &[&str],
    ) -> Result<Self> {
        let (width, height) = grid.tile;
        let mut guides = BTreeMap::new();
        for tap in taps {
            let (_, pools) = graph.at(tap)?;
            let guide = tape.placeholder([1, height >> pools, width >> pools], false);
            guides.insert(tap.to_string(), guide);
        }
        let picture = tape.placeholder([3, height, width], true);
        Ok(Vars { picture, guides, frame: tape.placeholder([8], false) })
    }

    /// The guide at a tap.
    pub fn guide(&self, tap: &str) -> Var {
        self.guides[tap]
    }
}

/// A tile's pixels.
pub(super) fn cut(grid: &Grid, (column, row): (&Span, &Span), rgb: &[f32]) -> Vec<f32> {
    let ((width, height), (tile_width, tile_height)) = (grid.size, grid.tile);
    let mut pixels = Vec::with_capacity(3 * tile_width * tile_height);
    for line in 0..3 * tile_height {
        let y = line / tile_height * height + row.origin + line % tile_height;
        pixels.extend_from_slice(&rgb[y * width + column.origin..][..tile_width]);
    }
    pixels
}

/// Adds a tile's gradient to the whole picture's.
pub(super) fn paste(
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
pub(super) fn pixels_of(graph: &Graph, grid: &Grid, tap: &str) -> Result<usize> {
    let (_, pools) = graph.at(tap)?;
    Ok((grid.size.0 >> pools) * (grid.size.1 >> pools))
}

/// The moments of a tile, and the factor that makes them the tile's share of the whole's.
pub(super) fn share_of_style(
    tape: &mut Tape,
    graph: &Graph,
    (grid, loss): (&Grid, StyleLoss),
    vars: &Vars,
    (tap, features): (&str, Var),
) -> Result<(Statistics, f32)> {
    tape.scope(format!("style {tap}"));
    let guide = vars.guide(tap);
    let pixels = tape.shape(guide).elements();
    let moments = style::measure_guided(tape, features, guide, loss)?;
    Ok((moments, pixels as f32 / pixels_of(graph, grid, tap)? as f32))
}

/// A moment of a style layer.
pub(super) type Key = (String, Order);

/// What a part records.
pub(super) struct Part {
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
    /// Records the network over a tile of the picture and of the content. `scales` are the denominators of the content
    /// layers' relative errors. What needs no Gram matrices belongs to the pass `own`: the second, or both where the
    /// second only goes on where the first ended.
    pub fn record(
        tape: &mut Tape,
        graph: &Graph,
        (grid, settings): (&Grid, &LossSettings),
        (vars, content_pixels): (&Vars, Var),
        scales: &[(LayerWeight, Value)],
        own: Pass,
    ) -> Result<Part> {
        // Recomputed rather than kept: a whole picture's features are many times its size.
        tape.recorder().pass = own;
        let mut targets = BTreeMap::new();
        let taps: Vec<&str> = scales.iter().map(|(layer, _)| layer.layer.as_str()).collect();
        graph.record(tape, content_pixels, &taps, &mut |_, tap, features| {
            targets.insert(tap.to_string(), features);
            Ok(())
        })?;
        tape.recorder().pass = Pass::Both;
        let style_layers = LossSettings::counted(&settings.style_layers);
        let (mut moments, mut terms) = (BTreeMap::new(), Vec::new());
        let taps: Vec<&str> =
            taps.into_iter().chain(style_layers.iter().map(|l| l.layer.as_str())).collect();
        graph.record(tape, vars.picture, &taps, &mut |tape, tap, features| {
            let free = tape.detached(features);
            let seen = if settings.content_weight > 0.0 { features } else { free };
            tape.recorder().pass = own;
            for (layer, scale) in scales.iter().filter(|(layer, _)| layer.layer == tap) {
                tape.scope(format!("content {tap}"));
                let (guide, scale) = (vars.guide(tap), tape.given(scale));
                let channels = tape.shape(seen).elements() / tape.shape(guide).elements();
                let factor = 1.0 / (channels * pixels_of(graph, grid, tap)?) as f32;
                let term = ops::guided_error(tape, [seen, targets[tap]], scale, factor, guide)?;
                terms.push((layer.weight, term));
            }
            tape.recorder().pass = Pass::First;
            let seen = if settings.style_weight > 0.0 { features } else { free };
            if style_layers.iter().any(|l| l.layer == tap) {
                let scene = (grid, settings.style_loss);
                let (seen, factor) = share_of_style(tape, graph, scene, vars, (tap, seen))?;
                for (order, moment) in seen.parts() {
                    moments.insert((tap.to_string(), order), (moment, factor));
                }
            }
            tape.recorder().pass = Pass::Both;
            Ok(())
        })?;
        tape.recorder().pass = own;
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
pub(super) struct Whole {
    /// The moments of the whole picture, and the gradients to them.
    pub moments: BTreeMap<Key, (Value, Option<Value>)>,
    /// The content loss.
    pub content: Value,
    /// The total variation.
    pub variation: Value,
    /// The detail.
    pub detail: Value,
}

impl Part {
    /// Records the sums over all parts and the gradient of the part's pixels; `None` where no loss counts. `weights` are
    /// those of content, style, total variation and detail.
    pub fn follow(
        &self,
        tape: &mut Tape,
        whole: &Whole,
        [content, style, variation, detail]: [f32; 4],
        (vars, own): (&Vars, Pass),
    ) -> Result<Option<Var>> {
        let one = tape.frozen(&Frozen::scalar(1.0));
        let mut results = vec![(self.content, one, content), (self.variation, one, variation)];
        add_to(tape, own, (self.content, 1.0), &whole.content)?;
        add_to(tape, own, (self.variation, 1.0), &whole.variation)?;
        if let Some(share) = self.detail {
            results.push((share, one, detail));
            add_to(tape, own, (share, 1.0), &whole.detail)?;
        }
        for (key, (moment, factor)) in &self.moments {
            let (sum, gradient) = &whole.moments[key];
            add_to(tape, Pass::First, (*moment, *factor), sum)?;
            if let Some(gradient) = gradient {
                results.push((*moment, tape.given(gradient), style * factor));
            }
        }
        tape.recorder().pass = Pass::Second;
        let gradients = tape.backward_from_all(&results)?;
        Ok(tape.gradient(&gradients, vars.picture))
    }
}

/// Records `to` += factor · share.
pub(super) fn add_to(
    tape: &mut Tape,
    pass: Pass,
    (share, factor): (Var, f32),
    to: &Value,
) -> Result<()> {
    tape.recorder().pass = pass;
    let share = tape.value(share).clone();
    scaled(tape.recorder(), &share, factor, to, true)
}

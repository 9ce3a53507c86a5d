//! The loss of a part of a picture, in two passes: the first adds the part's share to the moments of the whole,
//! the second follows their gradient, which is known by then, back to the part's pixels, with what needs
//! no knowledge of the whole.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::gpu::{Gpu, Phase, Tensor, Value};
use crate::loss::detail;
use crate::loss::moments::{self, Moment, Statistics};
use crate::loss::neighbours::{Cells, Found, PlaceInputs, PlaceVars, Places, sampled};
use crate::loss::regions::{Guide, Guides};
use crate::loss::settings::{LayerWeight, LossSettings, taps};
use crate::loss::style::StyleLoss;
use crate::loss::targets::weighted_mean;
use crate::nets::{Chain, Graph};
use crate::ops;
use crate::tape::inplace::scaled;
use crate::tape::loss_scale::LossScale;
use crate::tape::{Tape, Var};
use crate::tiles::grid::{Grid, Span};

/// What changes from tile to tile: the pixels, and how much they count in every map that a loss reads. Pixels that
/// are not the tile's own do not count.
pub(crate) struct TileInputs {
    pub picture: Tensor,
    /// At the content layers, and at the style layers in every region.
    content: BTreeMap<String, (Chain, Tensor)>,
    style: BTreeMap<(String, usize), (Chain, Tensor)>,
    /// Where styles are compared place by place.
    places: Option<PlaceInputs>,
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

impl TileInputs {
    /// Memory for the tiles of a grid, and for guides at `taps`.
    pub fn new(gpu: &Gpu, graph: &Graph, grid: &Grid, taps: Taps<'_>) -> Result<Self> {
        let guide = |tap: &str| {
            let map = graph.at(tap)?;
            let (width, height) = map.size(grid.tile);
            Ok((map.chain, gpu.zeros([1, height, width])?))
        };
        let (mut content, mut style) = (BTreeMap::new(), BTreeMap::new());
        for tap in taps.content {
            content.insert(tap.to_string(), guide(tap)?);
        }
        for (tap, region) in taps.guides() {
            style.insert((tap.to_string(), region), guide(tap)?);
        }
        let (width, height) = grid.tile;
        let (picture, frame) = (gpu.zeros([3, height, width])?, gpu.zeros([8])?);
        Ok(TileInputs { picture, content, style, places: None, frame })
    }

    /// With memory for the neighbours of a tile's places.
    pub fn with_places(self, gpu: &Gpu, grid: &Grid, places: &Places) -> Result<Self> {
        Ok(TileInputs { places: Some(places.inputs(gpu, grid.tile)?), ..self })
    }

    /// Says which neighbours a tile's places have.
    pub fn find(
        &self,
        gpu: &Gpu,
        (grid, tile): (&Grid, (&Span, &Span)),
        (places, found): (&Places, &Found),
    ) -> Result<()> {
        let Some(inputs) = &self.places else { return Ok(()) };
        inputs.load(gpu, places, (&cells_of(grid, tile, places.grid), Some(found)))
    }

    /// The tiles that are looked at: none where memory is only planned.
    pub fn tiles<'g>(gpu: &Gpu, grid: &'g Grid) -> impl Iterator<Item = (&'g Span, &'g Span)> {
        let count = if gpu.is_dry() { 0 } else { grid.count() };
        grid.tiles().take(count)
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
        for (chain, tensor) in self.content.values() {
            gpu.write(tensor, &own_part(grid, tile, chain, None))?;
        }
        for ((tap, region), (chain, tensor)) in &self.style {
            gpu.write(tensor, &own_part(grid, tile, chain, guides.at(tap, *region)))?;
        }
        let within = |span: &Span| span.own.start - span.origin..span.own.end - span.origin;
        let (across, down) = (within(column), within(row));
        let (width, height) = grid.size;
        let window = [across.start, down.start, across.end, down.end];
        let frame = [column.origin, row.origin, width, height];
        let frame: Vec<f32> = window.into_iter().chain(frame).map(|edge| edge as f32).collect();
        gpu.write(&self.frame, &frame)
    }

    /// What [`Part::record`] reads.
    pub fn vars(&self, tape: &mut Tape) -> TileVars {
        let content = self.content.iter().map(|(tap, (_, g))| (tap.clone(), tape.constant(g)));
        let content = content.collect();
        let style = self.style.iter().map(|(key, (_, g))| (key.clone(), tape.constant(g)));
        let style = style.collect();
        let (picture, frame) = (tape.variable(&self.picture), tape.constant(&self.frame));
        let places = self.places.as_ref().map(|places| places.vars(tape));
        TileVars { picture, content, style, places, frame }
    }
}

/// Which of a picture's places a tile has.
pub(crate) fn cells_of(grid: &Grid, (column, row): (&Span, &Span), places: ops::Grid) -> Cells {
    let own = |span: &Span, length: usize, (cell, cells): (usize, usize)| {
        // The last cell may have a rest behind it, or be larger than the picture.
        let end = if span.own.end == length { cells } else { span.own.end / cell };
        let origin = span.origin / cell;
        (origin, span.own.start / cell - origin..end - origin)
    };
    let [height, width] = [0, 1].map(|axis| (places.cell[axis], places.cells[axis]));
    let (top, rows) = own(row, grid.size.1, height);
    let (left, columns) = own(column, grid.size.0, width);
    Cells { origin: [top, left], own: [rows, columns] }
}

/// A tile's part of a guide, or of ones; 0 where a pixel is not its own.
fn own_part(
    grid: &Grid,
    (column, row): (&Span, &Span),
    chain: &Chain,
    guide: Option<&Guide>,
) -> Vec<f32> {
    let (width, height) = (chain.output(grid.tile.0), chain.output(grid.tile.1));
    let mut part = vec![0.0; width * height];
    let (across, all) = (column.own_at(chain, grid.size.0), chain.output(grid.size.0));
    for y in row.own_at(chain, grid.size.1) {
        let line = &mut part[y * width..][..width];
        match guide {
            None => line[across.clone()].fill(1.0),
            Some(guide) => {
                let from = (y + row.origin_at(chain)) * all + column.origin_at(chain);
                let roots = &guide.roots[from..];
                line[across.clone()].copy_from_slice(&roots[across.clone()]);
            }
        }
    }
    part
}

/// A tile as a recording sees it.
pub(crate) struct TileVars {
    pub picture: Var,
    content: BTreeMap<String, Var>,
    style: BTreeMap<(String, usize), Var>,
    places: Option<PlaceVars>,
    frame: Var,
}

impl TileVars {
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
    let (width, height) = graph.at(tap)?.size(grid.size);
    Ok(width * height)
}

/// The moments of a tile in every region, over the tile's pixels.
pub(crate) fn moments_of_part(
    tape: &mut Tape,
    loss: StyleLoss,
    vars: &TileVars,
    (tap, features): (&str, Var),
) -> Result<Vec<(usize, Statistics)>> {
    tape.scope(format!("style {tap}"));
    let own = vars.style.iter().filter(|((of, _), _)| of == tap);
    let moments = own.map(|((_, region), guide)| {
        Ok((*region, moments::measure_guided(tape, features, *guide, loss)?))
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
    let (width, height) = graph.at(tap)?.size(grid.tile);
    let share = (width * height) as f32 / pixels_of(graph, grid, tap)? as f32;
    Ok(share * guides.at(tap, region).map_or(1.0, Guide::factor))
}

/// A moment of a style layer in a region.
pub(crate) type Key = (String, usize, Moment);

/// What parts are parts of.
#[derive(Clone, Copy)]
pub(crate) struct Tiling<'a> {
    pub graph: &'a Graph,
    pub settings: &'a LossSettings,
    pub grid: &'a Grid,
    /// The picture's own.
    pub guides: &'a Guides,
    /// The denominators of the content layers' errors.
    pub variances: &'a [(LayerWeight, Value)],
    /// What the picture's places are compared with, where they are.
    pub places: Option<&'a Places>,
    /// When that runs which needs no moments of the whole: in the second pass, or in both where the second only goes on
    /// where the first ended.
    pub own: Phase,
}

/// What a part records.
pub(crate) struct Part {
    /// The part's moments, each with the factor that makes it a share of the whole's.
    pub moments: BTreeMap<Key, (Var, f32)>,
    /// The part's share of the style loss where styles are compared place by place, a scalar.
    pub style: Option<Var>,
    /// The part's share of the content loss, a scalar.
    pub content: Var,
    /// Its share of the total variation.
    pub variation: Var,
    /// Its share of the detail, where that counts.
    pub detail: Option<Var>,
}

impl Part {
    /// Records the network over a tile of the picture and of the content.
    pub fn record(
        tape: &mut Tape,
        of: Tiling<'_>,
        (vars, content_pixels): (&TileVars, Var),
    ) -> Result<Part> {
        let Tiling { graph, settings, grid, variances, own, .. } = of;
        // Recomputed rather than kept: a whole picture's features are many times its size.
        tape.recorder().phase = own;
        let mut targets = BTreeMap::new();
        let content_taps: Vec<&str> = variances.iter().map(|(l, _)| l.layer.as_str()).collect();
        graph.record(tape, content_pixels, &content_taps, &mut |_, tap, features| {
            targets.insert(tap.to_string(), features);
            Ok(())
        })?;
        tape.recorder().phase = Phase::Every;
        let style_layers = settings.style_taps();
        let (mut moments, mut terms, mut maps) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let all: Vec<&str> = content_taps.into_iter().chain(taps(&style_layers)).collect();
        graph.record(tape, vars.picture, &all, &mut |tape, tap, features| {
            let free = tape.detached(features);
            let seen = if settings.content_weight > 0.0 { features } else { free };
            tape.recorder().phase = own;
            for (layer, variance) in variances.iter().filter(|(layer, _)| layer.layer == tap) {
                let pair = [seen, targets[tap]];
                terms.push((layer.weight, of.content(tape, vars, (tap, pair), variance)?));
            }
            tape.recorder().phase = Phase::First;
            let seen = if settings.style_weight > 0.0 { features } else { free };
            if style_layers.iter().any(|l| l.layer == tap) {
                match of.places {
                    Some(_) => drop(maps.insert(tap.to_string(), sampled(graph, tap, seen)?)),
                    None => moments.extend(of.moments(tape, vars, (tap, seen))?),
                }
            }
            tape.recorder().phase = Phase::Every;
            Ok(())
        })?;
        tape.recorder().phase = own;
        tape.scope("loss");
        let content = weighted_mean(tape, terms)?;
        let style = of.places.zip(vars.places.as_ref());
        let style = style.map(|(places, given)| places.record(tape, &maps, given)).transpose()?;
        let seen =
            if settings.weights()[2] > 0.0 { vars.picture } else { tape.detached(vars.picture) };
        let kind = settings.variation;
        let variation = ops::partial_variation(tape, seen, kind, vars.frame, grid.size)?;
        let detail = (settings.detail_weight > 0.0)
            .then(|| detail::part(tape, [vars.picture, content_pixels], vars.frame, grid.size))
            .transpose()?;
        Ok(Part { moments, style, content, variation, detail })
    }
}

impl Tiling<'_> {
    /// Records a part's share of a content layer's error, of its features and those that they should be.
    fn content(
        &self,
        tape: &mut Tape,
        vars: &TileVars,
        (tap, [seen, target]): (&str, [Var; 2]),
        variance: &Value,
    ) -> Result<Var> {
        tape.scope(format!("content {tap}"));
        let (guide, variance) = (vars.guide(tap), tape.given(variance));
        let channels = tape.shape(seen).elements() / tape.shape(guide).elements();
        let factor = 1.0 / (channels * pixels_of(self.graph, self.grid, tap)?) as f32;
        ops::guided_error(tape, [seen, target], variance, factor, guide)
    }

    /// Records a part's moments at a style layer, each with the factor that makes it a share of the whole's.
    fn moments(
        &self,
        tape: &mut Tape,
        vars: &TileVars,
        (tap, seen): (&str, Var),
    ) -> Result<Vec<(Key, (Var, f32))>> {
        let mut moments = Vec::new();
        for (region, seen) in moments_of_part(tape, self.settings.style_loss, vars, (tap, seen))? {
            let factor = share_factor(self.graph, self.grid, (tap, region), self.guides)?;
            for (which, moment) in seen.parts() {
                moments.push(((tap.to_string(), region, which), (moment, factor)));
            }
        }
        Ok(moments)
    }
}

/// Where the shares of the parts are added up, and what comes back for the style.
pub(crate) struct Totals {
    /// The moments of the whole picture, and the gradients to them.
    pub moments: BTreeMap<Key, (Value, Option<Value>)>,
    /// The style loss where styles are compared place by place.
    pub style: Value,
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
        totals: &Totals,
        [content, style, variation, detail]: [f32; 4],
        (vars, own): (&TileVars, Phase),
    ) -> Result<Option<Var>> {
        let seed = tape.given(&totals.scale.seed);
        let mut results = vec![(self.content, seed, content), (self.variation, seed, variation)];
        add_to(tape, own, (self.content, 1.0), &totals.content)?;
        add_to(tape, own, (self.variation, 1.0), &totals.variation)?;
        if let Some(share) = self.style {
            results.push((share, seed, style));
            add_to(tape, own, (share, 1.0), &totals.style)?;
        }
        if let Some(share) = self.detail {
            results.push((share, seed, detail));
            add_to(tape, own, (share, 1.0), &totals.detail)?;
        }
        for (key, (moment, factor)) in &self.moments {
            let (sum, gradient) = &totals.moments[key];
            add_to(tape, Phase::First, (*moment, *factor), sum)?;
            if let Some(gradient) = gradient {
                results.push((*moment, tape.given(gradient), style * factor));
            }
        }
        tape.recorder().phase = Phase::Last;
        let gradients = tape.backward_from_all(&results)?;
        let Some(gradient) = tape.gradient(&gradients, vars.picture) else { return Ok(None) };
        let value = tape.value(gradient).clone();
        totals.scale.undo(tape.recorder(), &value)?;
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

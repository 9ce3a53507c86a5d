//! A step over a picture of any size, tile by tile. What grows with the picture stays on the host; the GPU holds one
//! tile's maps and the moments of the styles. The gradient is the one of the whole picture up to rounding
//! (tests/tiles.rs).

use std::collections::BTreeMap;

use crate::error::Result;
use crate::gpu::{Frozen, Gpu, Phase, Plan, Program, Tensor, Value};
use crate::loss::detail;
use crate::loss::regions::Guides;
use crate::loss::style::{Moments, Normalization, Statistics, StyleLoss};
use crate::loss::targets::{
    ByLayer, LayerWeight, LossSettings, Seen, StyleTerm, Styles, Targets, blend, nothing_to_move,
    taps,
};
use crate::nets::Graph;
use crate::ops::{self, guide, statistics};
use crate::picture::Picture;
use crate::shape::{Precision, Shape};
use crate::tape::Tape;
use crate::tape::loss_scale::LossScale;
use crate::tiles::grid::Grid;
use crate::tiles::part::{
    Inputs, Key, Part, Taps, Whole, add_to, cut, moments_of_part, paste, pixels_of, share_factor,
};

/// The targets of a picture that is looked at in parts.
pub struct TiledTargets {
    style: Targets,
    /// Content layers and the variance of their features, which themselves are computed again in every step.
    scales: Vec<(LayerWeight, Value)>,
    /// The picture's own.
    guides: Guides,
    /// The factor of the detail.
    detail: f32,
    /// How large the content loss is, about, for the scale of f16 gradients.
    content: f32,
}

impl TiledTargets {
    /// Measures content, in tiles of at most `most` pixels, and styles.
    ///
    /// # Errors
    /// As [`Targets::measure`].
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        content: &Picture,
        styles: &Styles<'_>,
        most: usize,
    ) -> Result<Self> {
        let layers = LossSettings::counted(&settings.content_layers);
        let (scales, about) = content_scales(gpu, graph, (layers, settings), content, most).await?;
        let own = (content.size(), content.rgb());
        let style = style_terms(gpu, graph, settings, own, styles).await?;
        let layers = LossSettings::counted(&settings.style_layers);
        let guides = Guides::new(graph, &taps(&layers), &styles.regions.content)?;
        // The guides of the whole are never on the GPU.
        let style = Targets { content: Vec::new(), detail: None, style, guides: BTreeMap::new() };
        let detail = detail::weight(settings, own);
        Ok(TiledTargets { style, scales, guides, detail, content: about })
    }

    fn regions(&self) -> usize {
        self.style.style.iter().map(|term| term.region + 1).max().unwrap_or(1)
    }
}

async fn scalar(gpu: &Gpu, tensor: &Tensor) -> Result<f32> {
    Ok(gpu.read(tensor).await?.first().copied().unwrap_or_default())
}

/// The variance of every content layer, from sums over the tiles, or 1 where errors are absolute; and how large the
/// loss of a picture that has nothing of the content is then, about.
async fn content_scales(
    gpu: &Gpu,
    graph: &Graph,
    (layers, settings): (Vec<LayerWeight>, &LossSettings),
    content: &Picture,
    most: usize,
) -> Result<(Vec<(LayerWeight, Value)>, f32)> {
    let absolute = settings.normalization == Normalization::Absolute;
    let one = Value::from(&Frozen::scalar(1.0));
    if absolute && graph.precision() == Precision::F32 {
        return Ok((layers.into_iter().map(|layer| (layer, one.clone())).collect(), 1.0));
    }
    let taps = taps(&layers);
    let grid = Grid::new(content.size(), most, graph.reach(&taps))?;
    let (all, none) = (Guides::all(), &[]);
    let inputs = Inputs::new(gpu, graph, &grid, Taps { content: &taps, style: none, regions: 0 })?;
    let mut tape = Tape::new(gpu);
    let vars = inputs.vars(&mut tape);
    let mut sums = BTreeMap::new();
    graph.record(&mut tape, vars.picture, &taps, &mut |tape, tap, features| {
        let (guide, features) = (vars.guide(tap), tape.value(features).clone());
        let guide = tape.value(guide).clone();
        let channels = features.shape().elements() / guide.shape().elements();
        let recorder = tape.recorder();
        let seen = guide::seen(recorder, &features, &guide, false)?;
        let sum = statistics::sum(recorder, &seen)?;
        let squares = statistics::square_norm(recorder, &seen)?;
        let numbers = channels * pixels_of(graph, &grid, tap)?;
        sums.insert(tap.to_string(), (numbers, recorder.keep(&sum)?, recorder.keep(&squares)?));
        Ok(())
    })?;
    let program = tape.finish()?;
    let mut totals: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for tile in grid.tiles() {
        inputs.load(gpu, &grid, tile, content.rgb())?;
        inputs.guide(gpu, &grid, tile, &all)?;
        program.run().await?;
        for (tap, (_, sum, squares)) in &sums {
            let total = totals.entry(tap).or_default();
            total[0] += f64::from(scalar(gpu, sum).await?);
            total[1] += f64::from(scalar(gpu, squares).await?);
        }
    }
    let (mut scales, mut loss, mut weights) = (Vec::new(), 0.0, 0.0);
    for layer in &layers {
        let (numbers, [sum, squares]) = (sums[&layer.layer].0 as f64, totals[layer.layer.as_str()]);
        let variance = (squares - sum * sum / numbers) / (numbers - 1.0).max(1.0);
        let variance = variance.max(0.0) as f32;
        (loss, weights) = (loss + layer.weight * variance, weights + layer.weight);
        let scale = match absolute {
            true => one.clone(),
            false => (&gpu.tensor(Shape::scalar(), &[variance])?).into(),
        };
        scales.push((layer.clone(), scale));
    }
    Ok((scales, if absolute && weights > 0.0 { loss / weights } else { 1.0 }))
}

/// A picture's size, and its pixels, 3×H×W.
pub(crate) type Pixels<'a> = ((u32, u32), &'a [f32]);

/// The targets of all styles. The pixels of the content are read where its own style counts.
///
/// # Errors
/// As [`Targets::measure`].
pub(crate) async fn style_terms(
    gpu: &Gpu,
    graph: &Graph,
    settings: &LossSettings,
    content: Pixels<'_>,
    styles: &Styles<'_>,
) -> Result<Vec<StyleTerm>> {
    // Before any work.
    styles.regions.styles(styles.pictures.len())?;
    let layers = LossSettings::counted(&settings.style_layers);
    let (taps, loss) = (taps(&layers), settings.style_loss);
    let (most, masks) = (styles.tile.unwrap_or(usize::MAX), &styles.regions.style);
    let mut measured = Vec::new();
    for (at, (style, _)) in styles.pictures.iter().enumerate() {
        let guides = Guides::new(graph, &taps, masks.get(at..=at).unwrap_or_default())?;
        let pixels = (style.size(), style.rgb());
        let own = style_moments(gpu, graph, (&taps, loss), (pixels, &guides, 1), most).await?;
        measured.extend(own);
    }
    let own = match settings.keeps_own_style() {
        true => {
            let masks = &styles.regions.content;
            let guides = Guides::new(graph, &taps, masks)?;
            let seen = (content, &guides, masks.len().max(1));
            Some(style_moments(gpu, graph, (&taps, loss), seen, most).await?)
        }
        false => None,
    };
    blend(gpu, settings, styles, (&measured, own.as_deref())).await
}

/// The moments of a picture in each of its regions, from sums over its tiles.
async fn style_moments(
    gpu: &Gpu,
    graph: &Graph,
    (taps, loss): (&[&str], StyleLoss),
    ((size, rgb), guides, regions): (Pixels<'_>, &Guides, usize),
    most: usize,
) -> Result<Vec<ByLayer>> {
    let grid = Grid::new(size, most, graph.reach(taps))?;
    let inputs = Inputs::new(gpu, graph, &grid, Taps { content: &[], style: taps, regions })?;
    let mut tape = Tape::new(gpu);
    let vars = inputs.vars(&mut tape);
    let mut sums = vec![ByLayer::new(); regions];
    graph.record(&mut tape, vars.picture, taps, &mut |tape, tap, features| {
        for (region, moments) in moments_of_part(tape, loss, &vars, (tap, features))? {
            let factor = share_factor(graph, &grid, (tap, region), guides)?;
            let sum = Moments::zeros(gpu, graph.at(tap)?.0, loss)?;
            for ((_, part), to) in moments.parts().zip(sum.parts()) {
                add_to(tape, Phase::Every, (part, factor), &to.into())?;
            }
            sums[region].insert(tap.to_string(), sum);
        }
        Ok(())
    })?;
    let program = tape.finish()?;
    for tile in grid.tiles() {
        inputs.load(gpu, &grid, tile, rgb)?;
        inputs.guide(gpu, &grid, tile, guides)?;
        program.run().await?;
    }
    Ok(sums)
}

/// Losses of a picture, unweighted but for the total.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// The weighted sum of the others and of the detail.
    pub total: f32,
    /// Content.
    pub content: f32,
    /// Style.
    pub style: f32,
    /// Total variation.
    pub variation: f32,
}

/// A program over one tile with its memory.
struct TileProgram {
    program: Program,
    inputs: Inputs,
    content: Tensor,
    gradient: Tensor,
}

/// The gradient of a picture of any size.
pub struct Tiled {
    gpu: Gpu,
    grid: Grid,
    weights: [f32; 4],
    /// The content's own pixels, 3×H×W, and the picture's guides.
    pixels: Vec<f32>,
    guides: Guides,
    keep: bool,
    /// With `keep`: every tile has its content and its guides, which do not change.
    loaded: bool,
    /// One, which serves all tiles in turn; or one for each, which keeps the first pass's maps for the second.
    programs: Vec<TileProgram>,
    /// The moments of the whole, and the shares of content, variation and detail.
    moments: Vec<Tensor>,
    content: Tensor,
    variation: Tensor,
    detail: Tensor,
    /// From the moments to the style loss and its gradient.
    head: Program,
    style: Tensor,
}

/// From the moments of the whole picture to the style loss.
struct Head {
    program: Program,
    style: Tensor,
    /// The sums of the tiles' shares, and the gradients to them, times the scale.
    moments: BTreeMap<Key, (Tensor, Option<Tensor>)>,
    scale: LossScale,
}

impl Head {
    fn new(
        gpu: &Gpu,
        graph: &Graph,
        (settings, pixels): (&LossSettings, usize),
        (targets, content): (&Targets, f32),
    ) -> Result<Self> {
        let mut tape = Tape::new(gpu);
        let (mut sums, mut seen) = (BTreeMap::new(), Seen::new());
        for StyleTerm { layer, region, .. } in &targets.style {
            let sum = Moments::zeros(gpu, graph.at(&layer.layer)?.0, settings.style_loss)?;
            let gram = tape.variable(&sum.gram);
            let mean = sum.mean.as_ref().map(|mean| tape.variable(mean));
            seen.insert((layer.layer.clone(), *region), Statistics { gram, mean });
            sums.insert((layer.layer.clone(), *region), sum);
        }
        let style = targets.record_style(&mut tape, &seen)?;
        // The content loss itself is not known yet.
        let one = tape.frozen(&Frozen::scalar(content));
        let [content_weight, style_weight, _] = settings.weights();
        let about = ops::weighted_sum(&mut tape, &[(style_weight, style), (content_weight, one)])?;
        let about = tape.value(about).clone();
        let scale = LossScale::record(tape.recorder(), graph.precision(), &about, pixels)?;
        let scale = scale.keep(tape.recorder())?;
        let seed = tape.given(&scale.seed);
        let gradients = tape.backward_from(style, seed)?;
        let mut moments = BTreeMap::new();
        for (of, statistics) in &seen {
            for ((order, moment), sum) in statistics.parts().zip(sums[of].parts()) {
                let gradient = tape.gradient(&gradients, moment);
                let gradient = gradient.map(|g| tape.keep(g)).transpose()?;
                moments.insert((of.0.clone(), of.1, order), (sum.clone(), gradient));
            }
        }
        let style = tape.keep(style)?;
        Ok(Head { program: tape.finish()?, style, moments, scale })
    }
}

impl Tiled {
    /// Records the step of a picture that is painted from `content` in the tiles of `grid`; with `keep`, every tile keeps
    /// its maps from the first pass to the second.
    ///
    /// # Errors
    /// [`Error::Memory`] when tiles are too small or too large, [`Error::Usage`] when the loss depends on nothing.
    pub fn new(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        (content, targets): (&Picture, TiledTargets),
        (grid, keep): (Grid, bool),
    ) -> Result<Self> {
        let pixels = content.rgb().to_vec();
        let of = (settings, grid.size.0 * grid.size.1);
        let head = Head::new(gpu, graph, of, (&targets.style, targets.content))?;
        let scalar = || gpu.zeros(Shape::scalar());
        let (content, variation, detail) = (scalar()?, scalar()?, scalar()?);
        let [of_content, of_style, of_variation] = settings.weights();
        let mut tiled = Tiled {
            gpu: gpu.clone(),
            grid,
            weights: [of_content, of_style, of_variation, targets.detail],
            pixels,
            guides: Guides::all(),
            keep,
            loaded: false,
            programs: Vec::new(),
            moments: head.moments.values().map(|(sum, _)| sum.clone()).collect(),
            content,
            variation,
            detail,
            head: head.program,
            style: head.style,
        };
        let value = |tensor: &Tensor| Value::from(tensor);
        let of_key = |(key, (sum, gradient)): (&Key, &(Tensor, Option<Tensor>))| {
            (key.clone(), (value(sum), gradient.as_ref().map(value)))
        };
        let whole = Whole {
            moments: head.moments.iter().map(of_key).collect(),
            content: value(&tiled.content),
            variation: value(&tiled.variation),
            detail: value(&tiled.detail),
            scale: head.scale,
        };
        let (count, own) = if keep { (tiled.grid.count(), Phase::Every) } else { (1, Phase::Last) };
        for _ in 0..count {
            let program = tiled.record(graph, settings, &targets, &whole, own)?;
            tiled.programs.push(program);
        }
        tiled.guides = targets.guides;
        Ok(tiled)
    }

    fn record(
        &self,
        graph: &Graph,
        settings: &LossSettings,
        targets: &TiledTargets,
        whole: &Whole,
        own: Phase,
    ) -> Result<TileProgram> {
        let (gpu, grid) = (&self.gpu, &self.grid);
        let (content, style) = settings.counted_layers();
        let regions = targets.regions();
        let taps = Taps { content: &taps(&content), style: &taps(&style), regions };
        let inputs = Inputs::new(gpu, graph, grid, taps)?;
        let content = gpu.zeros(inputs.picture.shape().clone())?;
        let mut tape = Tape::new(gpu);
        let (vars, seen) = (inputs.vars(&mut tape), tape.constant(&content));
        let (scene, seen) = ((grid, settings, &targets.guides), (&vars, seen));
        let part = Part::record(&mut tape, graph, scene, seen, &targets.scales, own)?;
        let gradient = part
            .follow(&mut tape, whole, self.weights, (&vars, own))?
            .ok_or_else(nothing_to_move)?;
        let gradient = tape.keep(gradient)?;
        Ok(TileProgram { program: tape.finish()?, inputs, content, gradient })
    }

    /// Adds the gradient of the loss of `picture` to `gradient`, which holds zeros, and tells `watch` after every
    /// tile of each pass; `None` when that said to stop. Pictures are 3×H×W.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn gradient(
        &mut self,
        picture: &[f32],
        gradient: &mut [f32],
        watch: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Sums>> {
        let (gpu, grid, count) = (&self.gpu, &self.grid, self.grid.count());
        for sum in self.moments.iter().chain([&self.content, &self.variation, &self.detail]) {
            gpu.write(sum, &vec![0.0; sum.shape().elements()])?;
        }
        for (at, tile) in grid.tiles().enumerate() {
            let TileProgram { program, inputs, content, .. } = self.program(at);
            inputs.load(gpu, grid, tile, picture)?;
            if !self.loaded {
                inputs.guide(gpu, grid, tile, &self.guides)?;
            }
            // Otherwise the content is the second pass's.
            if self.keep && !self.loaded {
                gpu.write(content, &cut(grid, tile, &self.pixels))?;
            }
            gpu.finished(program.submit_phase(Phase::First)).await?;
            if !watch(at + 1) {
                return Ok(None);
            }
        }
        self.loaded = self.keep;
        self.head.run().await?;
        for (at, tile) in grid.tiles().enumerate() {
            let TileProgram { program, inputs, content, gradient: part } = self.program(at);
            let submitted = if self.keep {
                program.submit_rest()
            } else {
                inputs.load(gpu, grid, tile, picture)?;
                inputs.guide(gpu, grid, tile, &self.guides)?;
                gpu.write(content, &cut(grid, tile, &self.pixels))?;
                program.submit_phase(Phase::Last)
            };
            gpu.finished(submitted).await?;
            paste(grid, tile, &gpu.read(part).await?, gradient);
            if !watch(count + at + 1) {
                return Ok(None);
            }
        }
        let [content_weight, style_weight, tv_weight, detail_weight] = self.weights;
        let content = scalar(gpu, &self.content).await?;
        let (style, variation) =
            (scalar(gpu, &self.style).await?, scalar(gpu, &self.variation).await?);
        let detail = detail_weight * scalar(gpu, &self.detail).await?;
        let total =
            content_weight * content + style_weight * style + tv_weight * variation + detail;
        Ok(Some(Sums { total, content, style, variation }))
    }

    fn program(&self, tile: usize) -> &TileProgram {
        &self.programs[if self.programs.len() == 1 { 0 } else { tile }]
    }

    /// The tiles.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What both passes over one tile cost.
    pub fn plan(&self) -> &Plan {
        self.programs[0].program.plan()
    }
}

//! A step over a picture of any size, tile by tile. What grows with the picture stays on the host; the GPU holds one
//! tile's maps and the Gram matrices. The gradient is the one of the whole picture up to rounding (tests/tiles.rs).

use std::collections::BTreeMap;

use super::grid::Grid;
use super::loss::{Grams, LayerWeight, LossSettings, Targets, blend};
use super::part::{Inputs, Part, Whole, add_to, cut, paste, pixels_of, share_of_gram};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Pass, Plan, Program, Value};
use crate::nets::Graph;
use crate::ops::{guide, statistics};
use crate::picture::Picture;
use crate::tape::Tape;
use crate::tensor::{Shape, Tensor};

/// The targets of a picture that is looked at in parts.
pub struct TiledTargets {
    style: Targets,
    /// Content layers and the variance of their features, which themselves are computed again in every step.
    scales: Vec<(LayerWeight, Value)>,
}

impl TiledTargets {
    /// Measures content and styles, in tiles of at most `most` px.
    ///
    /// # Errors
    /// As [`Targets::measure`].
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        content: &Picture,
        styles: &[(Picture, f32)],
        most: usize,
    ) -> Result<Self> {
        let layers = LossSettings::counted(&settings.content_layers);
        let scales = content_scales(gpu, graph, layers, content, most).await?;
        let layers = LossSettings::counted(&settings.style_layers);
        let mut grams = Vec::new();
        for (style, _) in styles {
            grams.push(style_grams(gpu, graph, &layers, style, most).await?);
        }
        let weights: Vec<f32> = styles.iter().map(|(_, weight)| *weight).collect();
        let style = blend(gpu, &layers, &grams, &weights).await?;
        Ok(TiledTargets { style: Targets { content: Vec::new(), style }, scales })
    }
}

fn taps(layers: &[LayerWeight]) -> Vec<&str> {
    layers.iter().map(|layer| layer.layer.as_str()).collect()
}

async fn scalar(gpu: &Gpu, tensor: &Tensor) -> Result<f32> {
    Ok(gpu.read(tensor).await?.first().copied().unwrap_or_default())
}

/// The variance of every content layer, from sums over the tiles.
async fn content_scales(
    gpu: &Gpu,
    graph: &Graph,
    layers: Vec<LayerWeight>,
    content: &Picture,
    most: usize,
) -> Result<Vec<(LayerWeight, Value)>> {
    let taps = taps(&layers);
    let grid = Grid::new(content.size(), most, graph.reach(&taps))?;
    let inputs = Inputs::new(gpu, graph, &grid, &taps)?;
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
        program.run().await?;
        for (tap, (_, sum, squares)) in &sums {
            let total = totals.entry(tap).or_default();
            total[0] += f64::from(scalar(gpu, sum).await?);
            total[1] += f64::from(scalar(gpu, squares).await?);
        }
    }
    let mut scales = Vec::new();
    for layer in &layers {
        let (numbers, [sum, squares]) = (sums[&layer.layer].0 as f64, totals[layer.layer.as_str()]);
        let variance = (squares - sum * sum / numbers) / (numbers - 1.0).max(1.0);
        let variance = gpu.tensor(Shape::scalar(), &[variance.max(0.0) as f32])?;
        scales.push((layer.clone(), (&variance).into()));
    }
    Ok(scales)
}

/// The Gram matrices of a style picture, from sums over its tiles.
async fn style_grams(
    gpu: &Gpu,
    graph: &Graph,
    layers: &[LayerWeight],
    style: &Picture,
    most: usize,
) -> Result<BTreeMap<String, Tensor>> {
    let taps = taps(layers);
    let grid = Grid::new(style.size(), most, graph.reach(&taps))?;
    let inputs = Inputs::new(gpu, graph, &grid, &taps)?;
    let mut tape = Tape::new(gpu);
    let vars = inputs.vars(&mut tape);
    let mut grams = BTreeMap::new();
    graph.record(&mut tape, vars.picture, &taps, &mut |tape, tap, features| {
        let (gram, factor) = share_of_gram(tape, graph, &grid, &vars, (tap, features))?;
        let sum = gpu.zeros(tape.shape(gram).clone())?;
        add_to(tape, Pass::Both, (gram, factor), &(&sum).into())?;
        grams.insert(tap.to_string(), sum);
        Ok(())
    })?;
    let program = tape.finish()?;
    for tile in grid.tiles() {
        inputs.load(gpu, &grid, tile, style.rgb())?;
        program.run().await?;
    }
    Ok(grams)
}

/// Losses of a picture, unweighted but for the total.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// The weighted sum of the others.
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
    weights: [f32; 3],
    /// One, which serves all tiles in turn; or one for each, which keeps the first pass's maps for the second.
    programs: Vec<TileProgram>,
    /// The Gram matrices of the whole, and the shares of content and variation.
    grams: Vec<Tensor>,
    content: Tensor,
    variation: Tensor,
    /// From the Gram matrices to the style loss and its gradient.
    head: Program,
    style: Tensor,
}

/// From the Gram matrices of the whole picture to the style loss.
struct Head {
    program: Program,
    style: Tensor,
    /// By layer: the sum of the tiles' shares, and the gradient to it.
    grams: BTreeMap<String, (Tensor, Option<Tensor>)>,
}

impl Head {
    fn new(gpu: &Gpu, targets: &Targets) -> Result<Self> {
        let mut tape = Tape::new(gpu);
        let (mut sums, mut grams) = (BTreeMap::new(), Grams::new());
        for target in &targets.style {
            let sum = gpu.zeros(target.value.shape().clone())?;
            grams.insert(target.layer.layer.clone(), tape.variable(&sum));
            sums.insert(target.layer.layer.clone(), sum);
        }
        let style = targets.record_style(&mut tape, &grams)?;
        let gradients = tape.backward(style)?;
        let mut kept = BTreeMap::new();
        for (layer, sum) in sums {
            let gradient = tape.gradient(&gradients, grams[&layer]);
            kept.insert(layer, (sum, gradient.map(|g| tape.keep(g)).transpose()?));
        }
        let style = tape.keep(style)?;
        Ok(Head { program: tape.finish()?, style, grams: kept })
    }
}

impl Tiled {
    /// Records the step of a picture of `size` in tiles of at most `most` px; with `keep`, every tile keeps its maps
    /// from the first pass to the second.
    ///
    /// # Errors
    /// [`Error::Memory`] when tiles are too small or too large, [`Error::Usage`] when the loss depends on nothing.
    pub fn new(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        targets: &TiledTargets,
        grid: Grid,
        keep: bool,
    ) -> Result<Self> {
        let head = Head::new(gpu, &targets.style)?;
        let (content, variation) = (gpu.zeros(Shape::scalar())?, gpu.zeros(Shape::scalar())?);
        let mut tiled = Tiled {
            gpu: gpu.clone(),
            grid,
            weights: settings.weights(),
            programs: Vec::new(),
            grams: head.grams.values().map(|(sum, _)| sum.clone()).collect(),
            content,
            variation,
            head: head.program,
            style: head.style,
        };
        let value = |tensor: &Tensor| Value::from(tensor);
        let of_layer = |(layer, (sum, gradient)): (&String, &(Tensor, Option<Tensor>))| {
            (layer.clone(), (value(sum), gradient.as_ref().map(value)))
        };
        let whole = Whole {
            grams: head.grams.iter().map(of_layer).collect(),
            content: value(&tiled.content),
            variation: value(&tiled.variation),
        };
        let (count, own) = if keep { (tiled.grid.count(), Pass::Both) } else { (1, Pass::Second) };
        for _ in 0..count {
            let program = tiled.record(graph, settings, targets, &whole, own)?;
            tiled.programs.push(program);
        }
        Ok(tiled)
    }

    fn record(
        &self,
        graph: &Graph,
        settings: &LossSettings,
        targets: &TiledTargets,
        whole: &Whole,
        own: Pass,
    ) -> Result<TileProgram> {
        let (gpu, grid) = (&self.gpu, &self.grid);
        let inputs = Inputs::new(gpu, graph, grid, &settings.counted_taps())?;
        let content = gpu.zeros(inputs.picture.shape().clone())?;
        let mut tape = Tape::new(gpu);
        let (vars, seen) = (inputs.vars(&mut tape), tape.constant(&content));
        let (scene, seen) = ((grid, settings), (&vars, seen));
        let part = Part::record(&mut tape, graph, scene, seen, &targets.scales, own)?;
        let gradient = part
            .follow(&mut tape, whole, self.weights, (&vars, own))?
            .ok_or(Error::Usage(super::painter::NOTHING_TO_DO.into()))?;
        let gradient = tape.keep(gradient)?;
        Ok(TileProgram { program: tape.finish()?, inputs, content, gradient })
    }

    /// Adds the gradient of the loss of `picture` to `gradient`, which holds zeros, and tells `watch` after every
    /// tile of each pass; `None` when that said to stop. Pictures are 3×H×W.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn gradient(
        &self,
        picture: &[f32],
        content: &[f32],
        gradient: &mut [f32],
        watch: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Sums>> {
        let gpu = &self.gpu;
        for sum in self.grams.iter().chain([&self.content, &self.variation]) {
            gpu.write(sum, &vec![0.0; sum.shape().elements()])?;
        }
        let count = self.grid.count();
        for (at, tile) in self.grid.tiles().enumerate() {
            let of_tile = self.program(at);
            of_tile.inputs.load(gpu, &self.grid, tile, picture)?;
            gpu.write(&of_tile.content, &cut(&self.grid, tile, content))?;
            gpu.finished(of_tile.program.submit_pass(Pass::First)).await?;
            if !watch(at + 1) {
                return Ok(None);
            }
        }
        self.head.run().await?;
        for (at, tile) in self.grid.tiles().enumerate() {
            let of_tile = self.program(at);
            let submitted = if self.programs.len() == count {
                of_tile.program.submit_rest()
            } else {
                of_tile.inputs.load(gpu, &self.grid, tile, picture)?;
                gpu.write(&of_tile.content, &cut(&self.grid, tile, content))?;
                of_tile.program.submit_pass(Pass::Second)
            };
            gpu.finished(submitted).await?;
            paste(&self.grid, tile, &gpu.read(&of_tile.gradient).await?, gradient);
            if !watch(count + at + 1) {
                return Ok(None);
            }
        }
        let [content_weight, style_weight, tv_weight] = self.weights;
        let content = scalar(gpu, &self.content).await?;
        let (style, variation) =
            (scalar(gpu, &self.style).await?, scalar(gpu, &self.variation).await?);
        let total = content_weight * content + style_weight * style + tv_weight * variation;
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

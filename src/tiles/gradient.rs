//! A step over a picture of any size, tile by tile. What grows with the picture stays on the host; the GPU holds one
//! tile's maps and the moments of the styles. The gradient is the one of the whole picture up to rounding
//! (tests/tiles.rs).

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::gpu::{Frozen, Gpu, Phase, Plan, Program, Tensor, Value};
use crate::loss::aim::Aim;
use crate::loss::detail;
use crate::loss::moments::{Moments, Seen, Statistics};
use crate::loss::neighbours::{Found, Places};
use crate::loss::regions::Guides;
use crate::loss::settings::{LossSettings, nothing_to_move, taps};
use crate::loss::style_targets::{StyleTargets, StyleTerm};
use crate::nets::Graph;
use crate::ops;
use crate::shape::{Shape, Wrap};
use crate::tape::Tape;
use crate::tape::loss_scale::LossScale;
use crate::tiles::grid::Grid;
use crate::tiles::measure::{ContentScales, scalar};
use crate::tiles::part::{Key, Part, Taps, TileInputs, Tiling, Totals, cut, paste};

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

/// How distant a picture's places are from their neighbours, about: what is taken for their loss before that is known.
const ABOUT_DISTANT: f32 = 0.2;

/// A program over one tile with its memory.
struct TileProgram {
    program: Program,
    inputs: TileInputs,
    content: Tensor,
    gradient: Tensor,
}

/// The gradient of a picture of any size.
pub struct TiledGradient {
    gpu: Gpu,
    grid: Grid,
    /// With a number: so many tiles have a program each, which keeps the first pass's maps for the second. Otherwise one
    /// serves all in turn.
    kept: Option<usize>,
    /// The content's own pixels, 3×H×W, and what its features were measured by.
    pixels: Vec<f32>,
    content: ContentScales,
    /// The neighbours of its places, where these are compared.
    found: Found,
    plan: Plan,
    /// Nothing after a failed [`TiledGradient::retarget`].
    step: Option<TiledStep>,
}

/// Both passes, recorded for an aim.
struct TiledStep {
    /// Of content, style, total variation and detail.
    weights: [f32; 4],
    /// The picture's own.
    guides: Guides,
    /// What its places are compared with, where they are.
    places: Option<Places>,
    /// Where tiles have programs of their own: every one has its content and its guides, which do not change.
    loaded: bool,
    programs: Vec<TileProgram>,
    sums: TileSums,
    head: Head,
}

/// Where the tiles' shares are added up.
struct TileSums {
    style: Tensor,
    content: Tensor,
    variation: Tensor,
    detail: Tensor,
}

impl TiledGradient {
    /// Measures the content of an aim in tiles as large as those of `grid`, and records the step; `style` is what the
    /// picture is to become. With `kept`, so many tiles keep their maps from the first pass to the second: all of
    /// `grid`'s, unless memory is only planned.
    ///
    /// # Errors
    /// [`Error::Memory`] when tiles are too small or too large, [`Error::Usage`] when the loss depends on nothing or
    /// nothing is left of a mask.
    pub async fn new(
        gpu: &Gpu,
        graph: &Graph,
        (aim, style): (&Aim<'_>, &StyleTargets),
        (grid, most, kept): (Grid, usize, Option<usize>),
    ) -> Result<Self> {
        // Places take one pass, for which nothing is kept.
        let kept = kept.filter(|_| style.places.is_none());
        let content = ContentScales::measure(gpu, graph, aim.loss, (aim.content, most)).await?;
        let step = TiledStep::record(gpu, graph, (aim, style), &content, (&grid, kept))?;
        let (plan, pixels) = (step.programs[0].program.plan().clone(), aim.content.rgb.to_vec());
        let (gpu, found) = (gpu.clone(), Found::default());
        Ok(TiledGradient { gpu, grid, kept, pixels, content, found, plan, step: Some(step) })
    }

    /// Says which neighbours the picture's places have.
    pub fn set_found(&mut self, found: Found) {
        self.found = found;
    }

    /// What the picture's places are to look like, where these are compared.
    pub(crate) fn places(&self) -> Option<&Places> {
        self.step.as_ref()?.places.as_ref()
    }

    /// The neighbours of the picture's places.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// How often every tile is looked at in a step.
    pub fn passes(&self) -> usize {
        self.step.as_ref().map_or(1, TiledStep::passes)
    }

    /// Records the step anew for another aim of the same content, layers and normalization. After an error there is no
    /// step any more.
    ///
    /// # Errors
    /// As [`TiledGradient::new`].
    pub fn retarget(&mut self, graph: &Graph, aim: &Aim<'_>, style: &StyleTargets) -> Result<()> {
        // Its memory first: there may be none for two.
        self.step = None;
        let of = (&self.grid, self.kept);
        let step = TiledStep::record(&self.gpu, graph, (aim, style), &self.content, of)?;
        self.plan = step.programs[0].program.plan().clone();
        self.step = Some(step);
        Ok(())
    }

    /// Takes the memory that reading a tile's gradient takes for a while.
    pub(crate) fn plan_reading(&self) {
        for TileProgram { gradient, .. } in self.step.iter().flat_map(|step| &step.programs) {
            self.gpu.plan_reading(gradient);
        }
    }

    /// The device.
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The tiles.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What both passes over one tile cost.
    pub fn plan(&self) -> &Plan {
        &self.plan
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
        let (gpu, grid, of) = (&self.gpu, &self.grid, (&self.pixels[..], &self.found));
        let step = self.step.as_mut().ok_or_else(|| {
            Error::Usage("a change of styles failed, and the step went with it: begin anew".into())
        })?;
        let kept = self.kept.is_some();
        step.clear(gpu)?;
        // Places need nothing of the whole picture.
        if step.places.is_none() && !step.measure(gpu, grid, (picture, of, kept), watch).await? {
            return Ok(None);
        }
        step.head.program.run().await?;
        let goes_on = step.follow(gpu, grid, (picture, of, kept), gradient, watch).await?;
        if goes_on { step.losses(gpu).await.map(Some) } else { Ok(None) }
    }
}

impl TiledStep {
    fn record(
        gpu: &Gpu,
        graph: &Graph,
        (aim, style): (&Aim<'_>, &StyleTargets),
        content: &ContentScales,
        (grid, kept): (&Grid, Option<usize>),
    ) -> Result<Self> {
        let settings = aim.loss;
        // The guides of the whole are never on the GPU.
        let layers = settings.style_taps();
        let guides = match style.places {
            Some(_) => Guides::all(),
            None => Guides::new(graph, &taps(&layers), &aim.regions.content)?,
        };
        let of = (settings, grid.size.0 * grid.size.1);
        let head = Head::new(gpu, graph, of, (style, content.about))?;
        let scalar = || gpu.zeros(Shape::scalar());
        let (content_sum, variation, detail) = (scalar()?, scalar()?, scalar()?);
        let sums = TileSums { style: scalar()?, content: content_sum, variation, detail };
        let [of_content, of_style, of_variation] = settings.weights();
        let weights =
            [of_content, of_style, of_variation, detail::weight(settings, aim.content, Wrap::None)];
        let totals = sums.totals(&head);
        let own = if kept.is_some() { Phase::Every } else { Phase::Last };
        let (variances, regions) = (content.variances.as_slice(), style.regions());
        let places = style.places.as_ref();
        let tiling = Tiling { graph, settings, grid, guides: &guides, variances, places, own };
        let programs = (0..kept.unwrap_or(1))
            .map(|_| TileProgram::record(gpu, tiling, regions, (&totals, weights)))
            .collect::<Result<Vec<_>>>()?;
        let places = style.places.clone();
        Ok(TiledStep { weights, guides, places, loaded: false, programs, sums, head })
    }

    fn program(&self, tile: usize) -> &TileProgram {
        &self.programs[if self.programs.len() == 1 { 0 } else { tile }]
    }

    /// Sets all sums to 0.
    fn clear(&self, gpu: &Gpu) -> Result<()> {
        let TileSums { style, content, variation, detail } = &self.sums;
        let moments = self.head.moments.values().map(|(sum, _)| sum);
        for sum in moments.chain([style, content, variation, detail]) {
            gpu.write(sum, &vec![0.0; sum.shape().elements()])?;
        }
        Ok(())
    }

    /// The first pass; whether to go on.
    async fn measure(
        &mut self,
        gpu: &Gpu,
        grid: &Grid,
        (picture, (pixels, _), kept): (&[f32], (&[f32], &Found), bool),
        watch: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool> {
        for (at, tile) in grid.tiles().enumerate() {
            let TileProgram { program, inputs, content, .. } = self.program(at);
            inputs.load(gpu, grid, tile, picture)?;
            if !self.loaded {
                inputs.guide(gpu, grid, tile, &self.guides)?;
            }
            // Otherwise the content is the second pass's.
            if kept && !self.loaded {
                gpu.write(content, &cut(grid, tile, pixels))?;
            }
            gpu.finished(program.submit_phase(Phase::First)).await?;
            if !watch(at + 1) {
                return Ok(false);
            }
        }
        self.loaded = kept;
        Ok(true)
    }

    /// The second pass, which adds up the gradient; whether to go on.
    async fn follow(
        &self,
        gpu: &Gpu,
        grid: &Grid,
        (picture, (pixels, found), kept): (&[f32], (&[f32], &Found), bool),
        gradient: &mut [f32],
        watch: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool> {
        for (at, tile) in grid.tiles().enumerate() {
            let TileProgram { program, inputs, content, gradient: part } = self.program(at);
            let submitted = if kept {
                program.submit_rest()
            } else {
                inputs.load(gpu, grid, tile, picture)?;
                inputs.guide(gpu, grid, tile, &self.guides)?;
                if let Some(places) = &self.places {
                    inputs.find(gpu, (grid, tile), (places, found))?;
                }
                gpu.write(content, &cut(grid, tile, pixels))?;
                program.submit_phase(Phase::Last)
            };
            gpu.finished(submitted).await?;
            paste(grid, tile, &gpu.read(part).await?, gradient);
            if !watch((self.passes() - 1) * grid.count() + at + 1) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How often every tile is looked at.
    fn passes(&self) -> usize {
        if self.places.is_some() { 1 } else { 2 }
    }

    async fn losses(&self, gpu: &Gpu) -> Result<Sums> {
        let [content_weight, style_weight, tv_weight, detail_weight] = self.weights;
        let content = scalar(gpu, &self.sums.content).await?;
        let style = match self.places {
            Some(_) => scalar(gpu, &self.sums.style).await?,
            None => scalar(gpu, &self.head.style).await?,
        };
        let variation = scalar(gpu, &self.sums.variation).await?;
        let detail = detail_weight * scalar(gpu, &self.sums.detail).await?;
        let total =
            content_weight * content + style_weight * style + tv_weight * variation + detail;
        Ok(Sums { total, content, style, variation })
    }
}

impl TileSums {
    fn totals(&self, head: &Head) -> Totals {
        let value = |tensor: &Tensor| Value::from(tensor);
        let of_key = |(key, (sum, gradient)): (&Key, &(Tensor, Option<Tensor>))| {
            (key.clone(), (value(sum), gradient.as_ref().map(value)))
        };
        Totals {
            moments: head.moments.iter().map(of_key).collect(),
            style: value(&self.style),
            content: value(&self.content),
            variation: value(&self.variation),
            detail: value(&self.detail),
            scale: head.scale.clone(),
        }
    }
}

impl TileProgram {
    fn record(
        gpu: &Gpu,
        tiling: Tiling<'_>,
        regions: usize,
        (totals, weights): (&Totals, [f32; 4]),
    ) -> Result<Self> {
        let settings = tiling.settings;
        let (content, style) = (settings.content_taps(), settings.style_taps());
        // Places are no moments.
        let style = if tiling.places.is_some() { Vec::new() } else { taps(&style) };
        let taps = Taps { content: &taps(&content), style: &style, regions };
        let mut inputs = TileInputs::new(gpu, tiling.graph, tiling.grid, taps)?;
        if let Some(places) = tiling.places {
            inputs = inputs.with_places(gpu, tiling.grid, places)?;
        }
        let content = gpu.zeros(inputs.picture.shape().clone())?;
        let mut tape = Tape::new(gpu);
        let (vars, seen) = (inputs.vars(&mut tape), tape.constant(&content));
        let part = Part::record(&mut tape, tiling, (&vars, seen))?;
        let gradient = part
            .follow(&mut tape, totals, weights, (&vars, tiling.own))?
            .ok_or_else(nothing_to_move)?;
        let gradient = tape.keep(gradient)?;
        Ok(TileProgram { program: tape.finish()?, inputs, content, gradient })
    }
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
        (targets, content): (&StyleTargets, f32),
    ) -> Result<Self> {
        let mut tape = Tape::new(gpu);
        let (mut sums, mut seen) = (BTreeMap::new(), Seen::new());
        for StyleTerm { layer, region, .. } in &targets.terms {
            let sum = Moments::zeros(gpu, graph.at(&layer.layer)?.channels, settings.style_loss)?;
            let gram = tape.variable(&sum.gram);
            let mean = sum.mean.as_ref().map(|mean| tape.variable(mean));
            seen.insert((layer.layer.clone(), *region), Statistics { gram, mean });
            sums.insert((layer.layer.clone(), *region), sum);
        }
        let style = targets.record(&mut tape, &seen)?;
        // The content loss itself is not known yet.
        let one = tape.frozen(&Frozen::scalar(content));
        let [content_weight, style_weight, _] = settings.weights();
        let mut terms = vec![(style_weight, style), (content_weight, one)];
        // Neither is that of places.
        let distant = tape.frozen(&Frozen::scalar(ABOUT_DISTANT));
        terms.extend(targets.places.iter().map(|_| (style_weight, distant)));
        let about = ops::weighted_sum(&mut tape, &terms)?;
        let about = tape.value(about).clone();
        let scale = LossScale::record(tape.recorder(), graph.precision(), &about, pixels)?;
        let scale = scale.keep(tape.recorder())?;
        let seed = tape.given(&scale.seed);
        let gradients = tape.backward_from(style, seed)?;
        let mut moments = BTreeMap::new();
        for (of, statistics) in &seen {
            for ((which, moment), sum) in statistics.parts().zip(sums[of].parts()) {
                let gradient = tape.gradient(&gradients, moment);
                let gradient = gradient.map(|g| tape.keep(g)).transpose()?;
                moments.insert((of.0.clone(), of.1, which), (sum.clone(), gradient));
            }
        }
        let style = tape.keep(style)?;
        Ok(Head { program: tape.finish()?, style, moments, scale })
    }
}

//! A painting by neighbours at one size, whole and in tiles.

use impasto::Result;
use impasto::loss::neighbours::Found;
use impasto::loss::{Aim, LossSettings, Mask, Pixels, Regions, StyleTargets, StyleTraits, Targets};
use impasto::nets::{Graph, Network};
use impasto::ops::pyramid;
use impasto::paint::Levels;
use impasto::picture::{Depth, Picture};
use impasto::tape::{Tape, loss_scale};
use impasto::tiles::gradient::TiledGradient;
use impasto::tiles::grid::Grid;
use impasto::tiles::measure::{self, Styles};
use impasto::tiles::search;
use pollster::block_on;

use crate::common::gpu;

pub fn settings(splits: bool) -> LossSettings {
    LossSettings { style_weight: 1.0, splits, ..LossSettings::neighbours() }
}

pub fn graph() -> Graph {
    Graph::new(Network::random(8, 3, Some("relu4_1")).expect("a network")).expect("a graph")
}

pub fn picture(size: (u32, u32), value: impl Fn(usize) -> f64) -> Picture {
    let rgb = (0..(3 * size.0 * size.1) as usize).map(|i| value(i) as f32).collect();
    Picture::from_planes(size, rgb, None, Depth::Eight).expect("planes fit")
}

/// Without any two pixels alike.
pub fn waves(size: (u32, u32), seed: f64) -> Picture {
    picture(size, |i| 0.5 + 0.3 * (seed * i as f64).sin() + 0.2 * (0.37 * (i as f64).sqrt()).cos())
}

/// A painting by neighbours at one size.
pub struct Scene {
    pub graph: Graph,
    pub settings: LossSettings,
    pub content: Picture,
    pub picture: Picture,
    pub styles: Vec<(Picture, f32)>,
    pub regions: Regions,
}

/// A loss, and its gradient to the picture's pixels, one level after the other.
pub type Step = (f32, Vec<f32>);

impl Scene {
    pub fn traits(&self, tile: Option<usize>) -> Result<Vec<(StyleTraits, f32)>> {
        let styles = Styles { pictures: &self.styles, regions: &self.regions, tile };
        block_on(measure::styles(gpu(), &self.graph, &self.settings, &styles))
    }

    pub fn aim<'a>(&'a self, styles: &'a [(StyleTraits, f32)]) -> Aim<'a> {
        let content = Pixels::of(&self.content);
        Aim { content, styles, regions: &self.regions, loss: &self.settings, tile: None }
    }

    pub fn levels(&self) -> Levels {
        Levels::new(&self.settings, self.content.size())
    }

    pub fn grid(&self, most: usize) -> Result<Grid> {
        let reach = self.settings.tile_reach(&self.graph, self.content.size());
        Grid::new(self.content.size(), most, reach)
    }

    /// What is found in tiles of at most so many pixels.
    pub fn found(&self, targets: &StyleTargets, most: usize) -> Result<Found> {
        let places = targets.places().expect("places");
        let sharp = self.levels().with_fine(self.picture.rgb(), self.content.rgb());
        let from = if self.settings.splits { self.picture.rgb() } else { &sharp };
        let of = (from, Pixels::of(&self.content), &self.grid(most)?);
        block_on(search::found(gpu(), &self.graph, &self.settings, places, of))
    }

    /// The loss of the picture that has these levels, or of the picture itself.
    pub fn whole(&self, levels: &[Vec<f32>]) -> Result<(Found, Step)> {
        let (gpu, graph) = (gpu(), &self.graph);
        let traits = self.traits(None)?;
        let aim = self.aim(&traits);
        let style = block_on(StyleTargets::new(gpu, &aim, None))?;
        let found = self.found(&style, usize::MAX)?;
        let content = Pixels::of(&self.content).upload(gpu)?;
        let targets = block_on(Targets::measure(gpu, graph, &aim, (&content, style)))?;
        targets.set_found(gpu, &found)?;
        let mut tape = Tape::new(gpu);
        let shapes = self.levels();
        let vars = shapes
            .shapes()
            .zip(levels)
            .map(|(shape, level)| Ok(tape.variable(&gpu.tensor(shape, level)?)));
        let vars = vars.collect::<Result<Vec<_>>>()?;
        let x = if vars.len() > 1 { pyramid::synthesis(&mut tape, &vars)? } else { vars[0] };
        let loss = targets.record(&mut tape, graph, &self.settings, x)?.total;
        let gradients = loss_scale::gradients(&mut tape, loss, &vars, graph.precision())?;
        let mut kept = vec![tape.keep(loss)?];
        for gradient in gradients.expect("the loss depends on every level") {
            kept.push(tape.keep(gradient)?);
        }
        let program = tape.finish()?;
        program.poison();
        block_on(program.run())?;
        let mut numbers = Vec::new();
        for tensor in &kept {
            numbers.extend(block_on(gpu.read(tensor))?);
        }
        Ok((found, (numbers.remove(0), numbers)))
    }

    pub fn tiled(&self, most: usize) -> Result<(Found, Step)> {
        let (gpu, graph) = (gpu(), &self.graph);
        let traits = self.traits(Some(most))?;
        let aim = self.aim(&traits);
        let style = block_on(StyleTargets::new(gpu, &aim, None))?;
        let found = self.found(&style, most)?;
        let grid = self.grid(most)?;
        assert!(grid.count() > 1, "one tile of {most} px");
        let cut = (grid, most, None);
        let mut tiles = block_on(TiledGradient::new(gpu, graph, (&aim, &style), cut))?;
        tiles.set_found(found.clone());
        let mut gradient = vec![0.0; self.picture.rgb().len()];
        let mut watch = |_| true;
        let sums = block_on(tiles.gradient(self.picture.rgb(), &mut gradient, &mut watch))?;
        let sums = sums.expect("it was not stopped");
        Ok((found, (sums.total, gradient)))
    }
}

pub fn numbers(found: &Found) -> Vec<usize> {
    found.choice.iter().map(|number| *number as usize).collect()
}

/// Pictures of odd sides, two styles of other sizes.
pub fn scene(splits: bool) -> Scene {
    Scene {
        graph: graph(),
        settings: LossSettings {
            content_weight: 0.7,
            tv_weight: 0.5,
            detail_weight: 0.2,
            strength: 0.8,
            ..settings(splits)
        },
        content: waves((237, 150), 0.31),
        picture: waves((237, 150), 0.47),
        styles: vec![(waves((130, 101), 0.11), 2.0), (waves((90, 203), 0.23), 1.0)],
        regions: Regions::default(),
    }
}

/// White to the left of a column, grey after it.
pub fn half(size: (u32, u32), column: u32, left: bool) -> Mask {
    let width = size.0 as usize;
    Mask::of(&picture(size, |i| {
        let inside = ((i % width) < column as usize) == left;
        if inside { 1.0 } else { 0.1 }
    }))
}

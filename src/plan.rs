//! How a picture is painted within a given memory, decided before any of it is taken: recordings of the step, with
//! placeholders for the tensors, are laid out but given no memory.
//!
//! There is no plan between the whole picture and tiles that recomputes activations: tiles do that, and need less
//! memory for the same time (one more forward pass, and the halos).

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Knob, Result};
use crate::gpu::{Gpu, Phase, Plan};
use crate::loss::regions::Guides;
use crate::loss::targets::{LossSettings, Targets, taps};
use crate::nets::Graph;
use crate::optim::Method;
use crate::paint::{Descent, Layout, TileLayout};
use crate::shape::Shape;
use crate::tape::Tape;
use crate::tape::inplace::scaled;
use crate::tape::loss_scale::{self, LossScale};
use crate::tiles::grid::Grid;
use crate::tiles::part::{Part, Taps, Vars, Whole, add_to, moments_of_part};

/// Larger tiles save little, and their dispatches take long.
const LARGEST_TILE: usize = 4096;
/// Each try is smaller than the one before by this.
const SMALLER: f64 = 0.84;
/// Parameters, losses and what the driver rounds up.
const SLACK: u64 = 2_000_000;

/// What a picture takes.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// How it is painted.
    pub layout: Layout,
    /// Bytes of GPU buffers at most, network included.
    pub bytes: u64,
    /// Bytes of system memory for what is not on the GPU, about.
    pub host_bytes: u64,
    /// Number and size of tiles, and pixels computed for each of the picture, where there are tiles.
    pub tiles: Option<(usize, (usize, usize), f64)>,
    /// What a step costs, or both passes over a tile.
    pub step: Plan,
}

/// What is to be painted, as far as memory is concerned.
pub struct Scene<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The loss.
    pub settings: &'a LossSettings,
    /// Width and height of the picture.
    pub size: (u32, u32),
    /// Those of the styles.
    pub styles: &'a [(u32, u32)],
    /// Number of masks of the picture.
    pub masks: usize,
    /// How it is moved.
    pub descent: Descent,
}

impl Scene<'_> {
    /// Bytes of the optimiser's state for so many numbers.
    fn state_bytes(&self, numbers: u64) -> u64 {
        // L-BFGS has three more vectors during a step.
        let extra = if self.descent.is_by_pieces() { 0 } else { 3 * 4 * numbers };
        self.descent.bytes(&Shape::from([numbers as usize])) + extra
    }
}

impl MemoryPlan {
    /// The fastest way to paint within `budget` bytes of GPU buffers. With `tile`, tiles of at most so many pixels.
    ///
    /// # Errors
    /// [`Error::Memory`] when nothing fits, with what would.
    pub fn choose(
        gpu: &Gpu,
        scene: &Scene<'_>,
        budget: u64,
        tile: Option<usize>,
    ) -> Result<MemoryPlan> {
        let whole = || match tile {
            Some(_) => Ok(None),
            None => fitting(gpu, scene, budget),
        };
        // Before that the content's targets are there, if they will be.
        let kept = if whole()?.is_some() { content_bytes(scene)? } else { 0 };
        let (style_tile, style_bytes) = style_tile(gpu, scene, budget, kept)?;
        // Once more: recording uploads weights in the packing of whatever kernel is chosen, and all of those count.
        let mut plan = match whole()? {
            Some(plan) => plan,
            None => match scene.descent.by_pieces() {
                Some(descent) => tiles(gpu, &Scene { descent, ..*scene }, budget, tile)?,
                None => return Err(only_whole(gpu, scene, budget)?),
            },
        };
        plan.layout.style_tile = Some(style_tile);
        plan.bytes = plan.bytes.max(style_bytes);
        Ok(plan)
    }
}

/// The plan for the whole picture, if it fits; with a shorter history, if only that does.
fn fitting(gpu: &Gpu, scene: &Scene<'_>, budget: u64) -> Result<Option<MemoryPlan>> {
    let fits = |plan: &MemoryPlan| plan.bytes <= budget;
    let Method::Lbfgs { history } = scene.descent.method else {
        return Ok(whole(gpu, scene)?.filter(fits));
    };
    for history in std::iter::successors(Some(history), |n| Some(n / 2)).take_while(|n| *n > 0) {
        let descent = Descent { method: Method::Lbfgs { history }, ..scene.descent };
        if let Some(mut plan) = whole(gpu, &Scene { descent, ..*scene })?.filter(fits) {
            plan.layout.history = Some(history);
            return Ok(Some(plan));
        }
    }
    Ok(None)
}

/// Side lengths to try, from the largest that could work.
fn sides(gpu: &Gpu, graph: &Graph, longest: usize, least: usize) -> impl Iterator<Item = usize> {
    let first = longest.min(LARGEST_TILE).min(graph.largest_square(gpu));
    let smaller = |side: &usize| Some((*side as f64 * SMALLER) as usize);
    std::iter::successors(Some(first), smaller).take_while(move |s| *s > least).chain([least])
}

fn longest((width, height): (u32, u32)) -> usize {
    width.max(height) as usize
}

/// The plan for the whole picture on the GPU; `None` where the adapter can't bind its largest map.
fn whole(gpu: &Gpu, scene: &Scene<'_>) -> Result<Option<MemoryPlan>> {
    let Scene { graph, settings, size, .. } = scene;
    if graph.check_fits(gpu, *size).is_err() {
        return Ok(None);
    }
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut tape = Tape::new(gpu);
    let picture = tape.placeholder([3, height, width], true);
    let targets = Targets::placeholders(&mut tape, graph, settings, (*size, scene.masks))?;
    let losses = targets.record(&mut tape, graph, settings, picture)?;
    let gradient = loss_scale::gradient(&mut tape, losses.total, picture, graph.precision())?;
    if let Some(gradient) = gradient {
        // As the optimiser does.
        let (from, to) = (tape.value(gradient).clone(), tape.value(picture).clone());
        scaled(tape.recorder(), &from, 1.0, &to, false)?;
    }
    let step = tape.plan();
    let numbers = 3 * width as u64 * height as u64;
    // The result is read through a staging buffer.
    let state = scene.state_bytes(numbers) + 4 * numbers;
    let bytes = gpu.allocated_bytes() + step.arena_bytes + state + SLACK;
    Ok(Some(MemoryPlan { layout: Layout::default(), bytes, host_bytes: 0, tiles: None, step }))
}

/// The plan with the largest tiles that fit.
fn tiles(gpu: &Gpu, scene: &Scene<'_>, budget: u64, side: Option<usize>) -> Result<MemoryPlan> {
    let Scene { graph, settings, size, .. } = scene;
    let reach = graph.reach(&settings.counted_taps());
    let least = Grid::least(reach);
    let sides: Vec<usize> = match side {
        Some(side) => vec![side],
        None => sides(gpu, graph, longest(*size), least).collect(),
    };
    let mut smallest = 0;
    for most in sides {
        let grid = Grid::new(*size, most, reach)?;
        let (step, pieces) = (plan_tile(gpu, scene, &grid)?, pieces_bytes(scene, &grid));
        if step.largest_bytes > gpu.report().max_binding_bytes {
            continue;
        }
        let rest = gpu.allocated_bytes() + pieces + SLACK;
        let of = |programs: usize| rest + programs as u64 * step.arena_bytes;
        smallest = of(1);
        if smallest > budget {
            continue;
        }
        let keep = of(grid.count()) <= budget;
        let numbers = 3 * u64::from(size.0) * u64::from(size.1);
        return Ok(MemoryPlan {
            layout: Layout { tiles: Some(TileLayout { most, keep }), ..Layout::default() },
            bytes: of(if keep { grid.count() } else { 1 }),
            // The content twice, the picture and its gradient; picture and state once more where the run can go back to.
            host_bytes: 20 * numbers + 2 * scene.state_bytes(numbers),
            tiles: Some((grid.count(), grid.tile, grid.overhead())),
            step,
        });
    }
    let (need, allowed) = (smallest.div_ceil(1_000_000), budget / 1_000_000);
    let (memory, tile) = (Knob::Memory, Knob::Tile);
    Err(Error::Memory(match side {
        Some(side) if need > 0 => format!(
            "tiles of {side} px need {need} MB, and {memory} allows {allowed} MB: take a smaller {tile}, or leave it out"
        ),
        Some(side) => format!(
            "tiles of {side} px have maps that the adapter can't bind: take a smaller {tile}"
        ),
        None => format!(
            "not even tiles of {least} px fit: they need {need} MB, and {memory} allows {allowed} MB"
        ),
    }))
}

/// What both passes over a tile take.
fn plan_tile(gpu: &Gpu, scene: &Scene<'_>, grid: &Grid) -> Result<Plan> {
    let Scene { graph, settings, .. } = scene;
    let mut tape = Tape::new(gpu);
    let (content, style) = settings.counted_layers();
    let regions = scene.masks.max(1);
    let taps = Taps { content: &taps(&content), style: &taps(&style), regions };
    let vars = Vars::placeholders(&mut tape, graph, grid, taps)?;
    let (width, height) = grid.tile;
    let content = tape.placeholder([3, height, width], false);
    let mut scales = Vec::new();
    for layer in LossSettings::counted(&settings.content_layers) {
        scales.push((layer, tape.recorder().placeholder(Shape::scalar())));
    }
    let (own, guides) = (Phase::Last, Guides::all());
    let [of_content, of_style, of_variation] = settings.weights();
    let weights = [of_content, of_style, of_variation, settings.detail_weight];
    let part =
        Part::record(&mut tape, graph, (grid, settings, &guides), (&vars, content), &scales, own)?;
    let mut moments = BTreeMap::new();
    for (key, (moment, _)) in &part.moments {
        let shape = tape.shape(*moment).clone();
        let recorder = tape.recorder();
        let pair = (recorder.placeholder(shape.clone()), Some(recorder.placeholder(shape)));
        moments.insert(key.clone(), pair);
    }
    let mut sum = || tape.recorder().placeholder(Shape::scalar());
    let (content, variation, detail) = (sum(), sum(), sum());
    let scale = LossScale::placeholder(tape.recorder(), graph.precision());
    let whole = Whole { moments, content, variation, detail, scale };
    if let Some(gradient) = part.follow(&mut tape, &whole, weights, (&vars, own))? {
        let (from, to) =
            (tape.value(gradient).clone(), tape.recorder().placeholder([3, height, width]));
        scaled(tape.recorder(), &from, 1.0, &to, false)?;
    }
    Ok(tape.plan())
}

/// The optimiser's pieces, which are as large as a tile, and what tiles and pieces are read through.
fn pieces_bytes(scene: &Scene<'_>, grid: &Grid) -> u64 {
    let numbers = 3 * grid.tile.0 as u64 * grid.tile.1 as u64;
    3 * 4 * numbers + scene.state_bytes(numbers)
}

/// The longest side of tiles in which all styles can be measured, and the bytes that takes beside `kept`.
fn style_tile(gpu: &Gpu, scene: &Scene<'_>, budget: u64, kept: u64) -> Result<(usize, u64)> {
    let Scene { graph, settings, styles, .. } = scene;
    let layers = LossSettings::counted(&settings.style_layers);
    let taps = taps(&layers);
    let reach = graph.reach(&taps);
    let own = settings.keeps_own_style().then_some(scene.size);
    let measured: Vec<_> = styles.iter().copied().chain(own).collect();
    let largest = measured.iter().copied().max_by_key(|size| longest(*size)).unwrap_or((1, 1));
    let (mut side, mut bytes) = (0, 0);
    for most in sides(gpu, graph, longest(largest), Grid::least(reach)) {
        (side, bytes) = (most, 0);
        let mut fits = true;
        for size in &measured {
            let grid = Grid::new(*size, most, reach)?;
            let mut tape = Tape::new(gpu);
            let vars = {
                let taps = Taps { content: &[], style: &taps, regions: 1 };
                Vars::placeholders(&mut tape, graph, &grid, taps)?
            };
            graph.record(&mut tape, vars.picture, &taps, &mut |tape, tap, features| {
                let loss = settings.style_loss;
                for (_, seen) in moments_of_part(tape, loss, &vars, (tap, features))? {
                    for (_, moment) in seen.parts() {
                        let sum = tape.shape(moment).clone();
                        let sum = tape.recorder().placeholder(sum);
                        add_to(tape, Phase::Every, (moment, 1.0), &sum)?;
                    }
                }
                Ok(())
            })?;
            let plan = tape.plan();
            fits &= plan.largest_bytes <= gpu.report().max_binding_bytes;
            bytes = bytes.max(gpu.allocated_bytes() + plan.arena_bytes + kept + SLACK);
        }
        if fits && bytes <= budget {
            break;
        }
    }
    Ok((side, bytes))
}

/// Bytes of the content's pixels and features, which a picture on the GPU keeps there.
fn content_bytes(scene: &Scene<'_>) -> Result<u64> {
    let (width, height) = (scene.size.0 as usize, scene.size.1 as usize);
    let mut bytes = 4 * 3 * (width * height) as u64;
    for layer in LossSettings::counted(&scene.settings.content_layers) {
        let (channels, pools) = scene.graph.at(&layer.layer)?;
        let numbers = channels * (width >> pools) * (height >> pools);
        bytes += scene.graph.precision().bytes() * numbers as u64;
    }
    Ok(bytes)
}

/// Why an optimiser that needs the whole picture can't have it.
fn only_whole(gpu: &Gpu, scene: &Scene<'_>, budget: u64) -> Result<Error> {
    let (width, height) = scene.size;
    let need = match whole(gpu, scene)? {
        Some(plan) => format!("{} MB", plan.bytes.div_ceil(1_000_000)),
        None => "more than the adapter can bind".into(),
    };
    Ok(Error::Memory(format!(
        "this optimiser needs the whole picture of {width}×{height} px on the GPU, {need}, and {} allows {} MB: \
         take {} auto or adam, which work in tiles, or a smaller {}",
        Knob::Memory,
        budget / 1_000_000,
        Knob::Optimizer,
        Knob::Size
    )))
}

/// A line or two for people.
impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        match (self.layout.tiles, self.tiles) {
            (Some(TileLayout { keep, .. }), Some((count, (width, height), overhead))) => write!(
                f,
                "{count} tiles of {width}×{height} px ({overhead:.2} px computed for each), {:.0} MB of GPU buffers{}, \
                 {:.0} MB of system memory for the picture and Adam's state",
                mb(self.bytes),
                if keep { ", each with its own maps" } else { "" },
                mb(self.host_bytes)
            ),
            _ => {
                write!(f, "the whole picture on the GPU, {:.0} MB of buffers", mb(self.bytes))?;
                match self.layout.history {
                    Some(history) => write!(f, ", L-BFGS with {history} pairs"),
                    None => Ok(()),
                }
            }
        }
    }
}

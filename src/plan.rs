//! How a picture is painted within a given memory, decided before any of it is taken: the code that paints is run on a
//! dry device ([`Gpu::dry`]), which counts what would be allocated. So a plan is what painting takes, whatever is
//! recorded.
//!
//! There is no plan between the whole picture and tiles that recomputes activations: tiles do that, and need less
//! memory for the same time (one more forward pass, and the halos).

use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Knob, Result};
use crate::gpu::{Gpu, Plan};
use crate::loss::{Aim, LossSettings, Mask, Pixels, Regions, StyleTargets, StyleTraits};
use crate::nets::Graph;
use crate::optim::Method;
use crate::paint::on_gpu::OnGpu;
use crate::paint::on_host::OnHost;
use crate::paint::{Descent, Layout, TileLayout};
use crate::shape::Wrap;
use crate::tiles::grid::Grid;
use crate::tiles::measure;

/// Larger tiles save little, and their dispatches take long.
const LARGEST_TILE: usize = 4096;
/// Each try is smaller than the one before by this.
const SMALLER: f64 = 0.84;
/// Room to spare: every buffer is counted, and nothing else is known to be taken.
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
#[derive(Clone, Copy)]
pub struct Request<'a> {
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

/// What runs on a dry device never waits.
fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::Gpu("a dry device waited for a real one".into())),
    }
}

/// A dry run, or nothing where a buffer is larger than the adapter can bind.
fn if_it_binds<T>(run: Result<T>) -> Result<Option<T>> {
    match run {
        Err(Error::Memory(_)) => Ok(None),
        run => run.map(Some),
    }
}

/// A request on a dry device.
struct Planning<'a> {
    dry: Gpu,
    request: &'a Request<'a>,
    budget: u64,
    /// The longest side of tiles in which all styles were measured, the bytes that took at most, and what is left.
    style_tile: usize,
    style_bytes: u64,
    styles: Vec<(StyleTraits, f32)>,
}

impl MemoryPlan {
    /// The fastest way to paint within `budget` bytes of GPU buffers. With `tile`, tiles of at most so many pixels.
    /// On a [dry](Gpu::dry) device the weights of the plan stay packed, as they do on a real one that paints by it: plans of
    /// pictures that are painted one after the other are made on one dry device.
    ///
    /// # Errors
    /// [`Error::Memory`] when nothing fits, with what would.
    pub fn choose(
        gpu: &Gpu,
        request: &Request<'_>,
        budget: u64,
        tile: Option<usize>,
    ) -> Result<MemoryPlan> {
        request.settings.check_wrap(request.graph, request.size)?;
        let planning = Planning::new(gpu, request, budget)?;
        let whole = match tile {
            Some(_) => None,
            None => planning.fitting()?,
        };
        let wraps = request.graph.wrap() != Wrap::None;
        let mut plan = match (whole, request.descent.by_pieces()) {
            (Some(plan), _) => plan,
            (None, _) if wraps => return Err(planning.no_seams(tile)?),
            (None, Some(descent)) => planning.tiles(&descent, tile)?,
            (None, None) => return Err(planning.only_whole()?),
        };
        plan.layout.style_tile = Some(planning.style_tile);
        plan.bytes = plan.bytes.max(planning.style_bytes);
        let styles = planning.styles.iter();
        plan.host_bytes += styles.map(|(style, _)| style.host_bytes()).sum::<u64>();
        Ok(plan)
    }
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

/// What a picture takes that is painted in tiles.
struct Tiled {
    /// Bytes of GPU buffers at most, and of those that stay.
    bytes: u64,
    live: u64,
    /// Bytes of system memory for what the optimiser knows.
    state: u64,
    step: Plan,
}

impl<'a> Planning<'a> {
    /// Measures the styles, and the content where its own style counts, in the largest tiles that fit.
    fn new(gpu: &Gpu, request: &'a Request<'a>, budget: u64) -> Result<Self> {
        let Request { graph, settings, styles, .. } = request;
        let (dry, of_styles) = (gpu.or_dry(), (*graph).clone().with_wrap(Wrap::None));
        let reach = settings.style_reach(graph, styles);
        let masks = vec![Mask::planned(request.size); request.masks];
        let own = settings.keeps_own_style().then_some((request.size, masks));
        let measured: Vec<_> = styles.iter().map(|size| (*size, Vec::new())).chain(own).collect();
        let largest = measured.iter().map(|(size, _)| longest(*size)).max().unwrap_or(1);
        let mut planning =
            Planning { dry, request, budget, style_tile: 0, style_bytes: 0, styles: Vec::new() };
        let mut mark = planning.dry.mark();
        for most in sides(gpu, graph, largest, Grid::least(reach)) {
            planning.styles.clear();
            planning.dry.rewind(mark);
            mark = planning.dry.mark();
            let run = if_it_binds(at_once(async {
                let mut kept = Vec::new();
                for (at, (size, masks)) in measured.iter().enumerate() {
                    let (dry, seen) = (&planning.dry, (Pixels::planned(*size), masks.as_slice()));
                    let graph = if at < styles.len() { &of_styles } else { *graph };
                    kept.extend(measure::traits(dry, graph, settings, seen, Some(most)).await?);
                }
                Ok(kept)
            }))?;
            (planning.style_tile, planning.style_bytes) = (most, planning.bytes());
            let fits = run.is_some() && planning.style_bytes <= budget;
            // Those of the content are measured again by its painter.
            let kept = run.into_iter().flatten().take(styles.len());
            planning.styles = kept.map(|moments| (moments, 1.0)).collect();
            if fits {
                break;
            }
        }
        if planning.styles.len() < styles.len() {
            let (most, style_size) = (planning.style_tile, Knob::StyleSize);
            let what = format!(
                "not even tiles of {most} px of the paintings have maps that the adapter can bind: take a smaller {style_size}"
            );
            return Err(Error::Memory(what));
        }
        Ok(planning)
    }

    /// The most bytes since the last mark.
    fn bytes(&self) -> u64 {
        self.dry.real_bytes() + self.dry.peak_bytes() + SLACK
    }

    /// Has the dry device do what `run` does for this picture; nothing where it does not bind.
    fn run<T>(
        &self,
        run: impl AsyncFnOnce(&Aim<'_>, StyleTargets) -> Result<T>,
    ) -> Result<Option<T>> {
        let Request { graph, settings, size, masks, .. } = self.request;
        let masks = vec![Mask::planned(*size); *masks];
        let regions = Regions { content: masks, style: Vec::new() };
        let aim = Aim {
            content: Pixels::planned(*size),
            styles: &self.styles,
            regions: &regions,
            loss: settings,
            tile: Some(self.style_tile),
        };
        if_it_binds(at_once(async {
            let own = measure::own_moments(&self.dry, graph, &aim).await?;
            let style = StyleTargets::new(&self.dry, &aim, own.as_deref()).await?;
            run(&aim, style).await
        }))
    }

    /// The plan for the whole picture, if it fits; with a shorter history, if only that does.
    fn fitting(&self) -> Result<Option<MemoryPlan>> {
        let fits = |plan: &MemoryPlan| plan.bytes <= self.budget;
        let descent = self.request.descent;
        let Method::Lbfgs { history } = descent.method else {
            return Ok(self.whole(&descent)?.filter(fits));
        };
        let halves = std::iter::successors(Some(history), |n| Some(n / 2));
        for history in halves.take_while(|n| *n > 0) {
            let descent = Descent { method: Method::Lbfgs { history }, ..descent };
            if let Some(mut plan) = self.whole(&descent)?.filter(fits) {
                plan.layout.history = Some(history);
                return Ok(Some(plan));
            }
        }
        Ok(None)
    }

    /// The plan for the whole picture on the GPU; `None` where the adapter can't bind its largest map.
    fn whole(&self, descent: &Descent) -> Result<Option<MemoryPlan>> {
        let (graph, size, mark) = (self.request.graph, self.request.size, self.dry.mark());
        if graph.check_fits(&self.dry, size).is_err() {
            return Ok(None);
        }
        let step = self.run(async |aim, style| {
            let nothing = (Vec::new(), None);
            let (canvas, _) = OnGpu::new(&self.dry, graph, (aim, style), descent, nothing).await?;
            canvas.plan_reading();
            Ok(canvas.plan().clone())
        })?;
        let (bytes, layout) = (self.bytes(), Layout::default());
        if step.is_none() || bytes > self.budget {
            self.dry.rewind(mark);
        }
        Ok(step.map(|step| MemoryPlan { layout, bytes, host_bytes: 0, tiles: None, step }))
    }

    /// A dry run in tiles of a grid, which are at most `most` px long; `kept` is that of
    /// [`TiledGradient::new`](crate::tiles::gradient::TiledGradient::new).
    fn tiled(
        &self,
        descent: &Descent,
        (grid, most, kept): (&Grid, usize, Option<usize>),
    ) -> Result<Option<Tiled>> {
        let (graph, dry) = (self.request.graph, &self.dry);
        let mark = dry.mark();
        let run = self.run(async |aim, style| {
            let (cut, nothing) = ((grid.clone(), most, kept), (Vec::new(), None));
            let (canvas, _) = OnHost::new(dry, graph, (aim, &style), descent, cut, nothing).await?;
            let live = dry.allocated_bytes();
            canvas.plan_reading();
            Ok((live, canvas.host_bytes(), canvas.gradient.plan().clone()))
        })?;
        let bytes = self.bytes();
        if run.is_none() || bytes > self.budget {
            dry.rewind(mark);
        }
        Ok(run.map(|(live, state, step)| Tiled { bytes, live, state, step }))
    }

    /// The plan with the largest tiles that fit.
    fn tiles(&self, descent: &Descent, tile: Option<usize>) -> Result<MemoryPlan> {
        let Request { graph, settings, size, .. } = self.request;
        let reach = settings.tile_reach(graph, *size);
        let least = Grid::least(reach);
        let sides: Vec<usize> = match tile {
            Some(side) => vec![side],
            None => sides(&self.dry, graph, longest(*size), least).collect(),
        };
        let mut smallest = 0;
        for most in sides {
            let grid = Grid::new(*size, most, reach)?;
            let Some(one) = self.tiled(descent, (&grid, most, None))? else { continue };
            smallest = one.bytes;
            if smallest <= self.budget {
                return self.in_tiles(descent, (&grid, most), one);
            }
        }
        Err(too_small(tile, (least, smallest), self.budget))
    }

    /// The plan in the tiles of a grid, where one takes so much.
    fn in_tiles(
        &self,
        descent: &Descent,
        (grid, most): (&Grid, usize),
        one: Tiled,
    ) -> Result<MemoryPlan> {
        // As many tiles as there are would take long to record; each takes what a second one does.
        let others = match grid.count() as u64 {
            // Places are compared in one pass, for which nothing is kept.
            _ if self.request.settings.style_loss.is_by_place() => None,
            1 => Some(0),
            count => {
                let two = self.tiled(descent, (grid, most, Some(2)))?;
                two.map(|two| (count - 1) * two.live.saturating_sub(one.live))
            }
        };
        let all = others.map(|others| one.bytes + others).filter(|all| *all <= self.budget);
        let (width, height) = self.request.size;
        Ok(MemoryPlan {
            layout: Layout {
                tiles: Some(TileLayout { most, keep: all.is_some() }),
                ..Layout::default()
            },
            bytes: all.unwrap_or(one.bytes),
            // The content twice, the picture and its gradient; picture and state once more where the run can go back to.
            host_bytes: 20 * 3 * u64::from(width) * u64::from(height) + 2 * one.state,
            tiles: Some((grid.count(), grid.tile, grid.overhead())),
            step: one.step,
        })
    }

    /// What the whole picture takes on the GPU.
    fn need(&self) -> Result<String> {
        Ok(match self.whole(&self.request.descent)? {
            Some(plan) => format!("{} MB", plan.bytes.div_ceil(1_000_000)),
            None => "more than the adapter can bind".into(),
        })
    }

    /// Why a picture whose edges meet can't be painted: in tiles they would not.
    fn no_seams(&self, tile: Option<usize>) -> Result<Error> {
        let (seamless, (width, height)) = (Knob::Seamless, self.request.size);
        if tile.is_some() {
            return Ok(Error::Usage(format!(
                "{seamless} needs the whole picture on the GPU, and {} cuts it: leave one of them out",
                Knob::Tile
            )));
        }
        let need = self.need()?;
        Ok(Error::Memory(format!(
            "{seamless} needs the whole picture of {width}×{height} px on the GPU, {need}, and {} allows {} MB: take a \
             smaller {}, or leave it out for tiles",
            Knob::Memory,
            self.budget / 1_000_000,
            Knob::Size
        )))
    }

    /// Why an optimiser that needs the whole picture can't have it.
    fn only_whole(&self) -> Result<Error> {
        let ((width, height), need) = (self.request.size, self.need()?);
        Ok(Error::Memory(format!(
            "this optimiser needs the whole picture of {width}×{height} px on the GPU, {need}, and {} allows {} MB: \
             take {} auto or adam, which work in tiles, or a smaller {}",
            Knob::Memory,
            self.budget / 1_000_000,
            Knob::Optimizer,
            Knob::Size
        )))
    }
}

/// That no tiles fit: those of `side` px, or any down to the least, the smallest of which need so many bytes.
fn too_small(side: Option<usize>, (least, smallest): (usize, u64), budget: u64) -> Error {
    let (need, allowed) = (smallest.div_ceil(1_000_000), budget / 1_000_000);
    let (memory, tile) = (Knob::Memory, Knob::Tile);
    Error::Memory(match side {
        Some(side) if need > 0 => format!(
            "tiles of {side} px need {need} MB, and {memory} allows {allowed} MB: take a smaller {tile}, or leave it out"
        ),
        Some(side) => format!(
            "tiles of {side} px have maps that the adapter can't bind: take a smaller {tile}"
        ),
        None => format!(
            "not even tiles of {least} px fit: they need {need} MB, and {memory} allows {allowed} MB"
        ),
    })
}

/// A line or two for people.
impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        match (self.layout.tiles, self.tiles) {
            (Some(TileLayout { keep, .. }), Some((count, (width, height), overhead))) => write!(
                f,
                "{count} tiles of {width}×{height} px ({overhead:.2} px computed for each), {:.0} MB of GPU buffers{}, \
                 {:.0} MB of system memory for what is not on it",
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

//! What a run takes is known before, and is what it takes.

mod common;

use common::choice;
use impasto::gpu::Gpu;
use impasto::loss::{LossSettings, Mask, Regions, StyleLoss};
use impasto::nets::{Graph, default_network};
use impasto::optim::Method;
use impasto::paint::{Carried, Descent, Event, Job, LossRow, Painter, Start, Verdict};
use impasto::picture::{Depth, Picture};
use impasto::plan::{MemoryPlan, Request};
use impasto::shape::Precision;
use impasto::tiles::measure::{self, Styles};
use impasto::{Error, Result};

const HUGE: u64 = 1 << 40;
/// What a plan may be above what is taken.
const SLACK: u64 = 2_100_000;

fn picture((width, height): (u32, u32), seed: u32) -> Picture {
    let value = |i: u32| (i.wrapping_mul(7919).wrapping_add(seed * 104_729) % 256) as f32 / 255.0;
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

/// A run of a device of its own, so that nothing else counts.
struct Run {
    gpu: Gpu,
    graph: Graph,
    settings: LossSettings,
    content: Picture,
    styles: Vec<(Picture, f32)>,
    regions: Regions,
    descent: Descent,
}

impl Run {
    fn new(size: (u32, u32), style: (u32, u32)) -> Self {
        let settings = LossSettings::plain();
        let network = default_network(None).and_then(|n| n.truncated(&settings.taps()));
        Run {
            gpu: pollster::block_on(Gpu::open(&choice())).expect("a GPU"),
            graph: Graph::new(network.expect("a network")).expect("a graph"),
            settings,
            content: picture(size, 1),
            styles: vec![(picture(style, 2), 1.0)],
            regions: Regions::default(),
            descent: Descent::adam(0.02),
        }
    }

    fn plan(&self, budget: u64, tile: Option<usize>) -> Result<MemoryPlan> {
        let styles: Vec<_> = self.styles.iter().map(|(style, _)| style.size()).collect();
        let request = Request {
            graph: &self.graph,
            settings: &self.settings,
            size: self.content.size(),
            styles: &styles,
            masks: self.regions.content.len(),
            descent: self.descent,
        };
        MemoryPlan::choose(&self.gpu, &request, budget, tile)
    }

    /// Takes steps by that plan; the rows, the picture and the most bytes.
    fn paint(&self, plan: &MemoryPlan, steps: u64) -> Result<(Vec<LossRow>, Picture, u64)> {
        let (rows, carried) = self.paint_from(Start::Content, plan, steps)?;
        Ok((rows, carried.picture, self.gpu.peak_bytes()))
    }

    fn paint_from(
        &self,
        start: Start,
        plan: &MemoryPlan,
        steps: u64,
    ) -> Result<(Vec<LossRow>, Carried)> {
        let (gpu, graph, regions) = (&self.gpu, &self.graph, &self.regions);
        let tile = plan.layout.measuring_tile();
        let pictures = Styles { pictures: &self.styles, regions, tile };
        let mut rows = Vec::new();
        let carried = pollster::block_on(async {
            let job = Job {
                content: &self.content,
                styles: &measure::styles(gpu, graph, &self.settings, &pictures).await?,
                regions,
                start,
                loss: self.settings.clone(),
                descent: self.descent,
                layout: plan.layout,
            };
            let mut painter = Painter::new(gpu, graph, &job).await?;
            // What was planned is the step itself.
            assert_eq!(*painter.plan(), plan.step);
            let mut watch = |event: Event<'_>| {
                if let Event::Losses(losses) = event {
                    rows.extend_from_slice(losses);
                }
                Verdict::Continue
            };
            painter.paint(steps, None, &mut watch).await?;
            painter.carried().await
        })?;
        Ok((rows, carried))
    }

    fn check(&self, name: &str, budget: u64, tile: Option<usize>) -> MemoryPlan {
        let plan = self.plan(budget, tile).expect("a plan");
        // What kernels and weights take is there already.
        self.gpu.limit_bytes(plan.bytes);
        let (_, _, peak) = self.paint(&plan, 1).expect("a step");
        println!("{name}: {plan}; {:.1} MB were taken", peak as f64 / 1e6);
        assert!(peak <= plan.bytes, "{name}: {peak} bytes were taken, {} planned", plan.bytes);
        assert!(
            peak + SLACK > plan.bytes,
            "{name}: {peak} bytes were taken, {} planned",
            plan.bytes
        );
        plan
    }
}

#[test]
fn plans_are_what_is_taken() {
    let small = || Run::new((301, 200), (160, 120));
    let whole = small();
    let plan = whole.check("whole", HUGE, None);
    assert!(plan.layout.tiles.is_none());

    let lbfgs = Descent { method: Method::Lbfgs { history: 10 }, ..Descent::adam(0.01) };
    Run { descent: lbfgs, ..small() }.check("L-BFGS", HUGE, None);
    let averaged = Descent { average: true, ..Descent::adam(0.02) };
    let mean_std = LossSettings { style_loss: StyleLoss::MeanStd, ..LossSettings::plain() };
    Run { descent: averaged, settings: mean_std, ..small() }.check("averaged", HUGE, None);
    let white = Mask::of(
        &Picture::from_planes((301, 200), vec![1.0; 3 * 301 * 200], None, Depth::Eight)
            .expect("planes fit"),
    );
    let regions = Regions { content: vec![white], style: Vec::new() };
    Run { regions, ..small() }.check("masked", HUGE, None);

    // What looks farther has larger tiles.
    let large = || Run { settings: LossSettings::default(), ..Run::new((401, 360), (160, 120)) };
    large().check("octaves", HUGE, None);
    let tiled = large().check("octaves in tiles", HUGE, Some(336));
    assert!(tiled.layout.tiles.is_some());

    for splits in [false, true] {
        let settings = LossSettings { splits, ..LossSettings::neighbours() };
        let network = default_network(None).expect("a network");
        let graph = || Graph::new(network.clone()).expect("a graph");
        let of = || Run { settings: settings.clone(), graph: graph(), ..small() };
        of().check(&format!("neighbours, split {splits}"), HUGE, None);
        let tiled = of().check(&format!("neighbours in tiles, split {splits}"), HUGE, Some(160));
        assert!(tiled.layout.tiles.is_some_and(|tiles| !tiles.keep));
    }

    if small().gpu.report().f16 {
        let of = small();
        let graph = of.graph.with_precision(Precision::F16);
        let half = Run { graph, ..of }.check("f16", HUGE, None);
        let arena = |plan: &MemoryPlan| plan.step.arena_bytes as f64;
        let ratio = arena(&half) / arena(&plan);
        // The workspace of Winograd's products is f32.
        assert!((0.5..0.8).contains(&ratio), "f16 takes {ratio} of the temporaries");
    } else {
        common::skipped("the plan of f16 maps: the adapter has no f16");
    }

    let tiles = small().check("tiles that keep their maps", HUGE, Some(160));
    assert!(tiles.layout.tiles.is_some_and(|tiles| tiles.keep));
    // Less than the whole picture takes, and less than all tiles together.
    // Weights stay.
    let weights = whole.gpu.allocated_bytes();
    let tiles = small().check("tiles", weights + (plan.bytes - weights) * 2 / 3, None);
    assert!(tiles.layout.tiles.is_some_and(|tiles| !tiles.keep));
}

/// The program of the paper takes 12 GB for 1024 px.
#[test]
fn neighbours_at_2048_px_fit_in_4_gb() {
    let settings = LossSettings::neighbours();
    let network = default_network(None).expect("a network");
    let graph = Graph::new(network).expect("a graph");
    let run = Run { settings, graph, ..Run::new((2048, 1536), (2048, 1622)) };
    let plan = run.plan(4_000_000_000, None).expect("a plan");
    println!("neighbours: {plan}");
    assert!(plan.bytes <= 4_000_000_000);
}

#[test]
fn large_styles_are_measured_in_tiles() {
    let run = Run::new((96, 64), (400, 300));
    let all = run.plan(HUGE, None).expect("a plan");
    assert_eq!(all.layout.style_tile, Some(400));
    assert_eq!(run.gpu.peak_bytes(), 0, "planning takes nothing");
    let other = Run::new((96, 64), (400, 300));
    other.paint(&all, 1).expect("a step");
    let weights = other.gpu.allocated_bytes();
    let plan = run.check("a large style", weights + (all.bytes - weights) / 2, None);
    assert!(plan.layout.tiles.is_none() && plan.layout.style_tile.is_some_and(|tile| tile < 400));
}

#[test]
fn a_history_that_does_not_fit_is_shortened() {
    let lbfgs = Descent { method: Method::Lbfgs { history: 40 }, ..Descent::adam(0.01) };
    let run = Run { descent: lbfgs, ..Run::new((160, 120), (96, 64)) };
    let all = run.plan(HUGE, None).expect("a plan");
    assert_eq!(all.layout.history, Some(40));
    // A pair takes 24 bytes a pixel.
    let shorter = run.plan(all.bytes - 10 * 24 * 160 * 120, None).expect("a plan");
    assert_eq!(shorter.layout.history, Some(20));
    run.gpu.limit_bytes(shorter.bytes);
    run.paint(&shorter, 2).expect("two steps");
    let error = run.plan(run.gpu.allocated_bytes() + 1000, None).map(drop).expect_err("too little");
    assert!(error.to_string().contains("‹optimizer› auto or adam"), "{error}");
}

/// L-BFGS needs the whole picture; where that does not fit, or does not fit any more, Adam goes on from its best.
#[test]
fn adam_takes_over_in_tiles() {
    let run = || Run { descent: Descent::default(), ..Run::new((150, 130), (96, 64)) };
    let first = run();
    let whole = first.plan(HUGE, None).expect("a plan");
    let (rows, carried) = first.paint_from(Start::Content, &whole, 6).expect("steps");
    assert!(carried.state.tensors.contains_key("s0"));
    let best = rows.iter().map(|row| row.total).fold(f32::INFINITY, f32::min);
    let second = run();
    let tiled = second.plan(HUGE, Some(112)).expect("a plan");
    assert!(tiled.layout.tiles.is_some());
    let start = Start::Carried(Box::new(carried));
    let (rows, carried) = second.paint_from(start, &tiled, 2).expect("steps");
    assert!(carried.state.tensors.contains_key("square"));
    assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [6, 7]);
    assert!((rows[0].total / best - 1.0).abs() < 1e-3, "{rows:?}, L-BFGS {best}");
}

/// The first step is the same, wherever the picture lies; and what does not fit is an error and no crash.
#[test]
fn tiles_paint_what_the_whole_does() {
    let run = || Run::new((150, 130), (96, 64));
    let whole = run();
    let plan = whole.plan(HUGE, None).expect("a plan");
    let (rows, picture, _) = whole.paint(&plan, 1).expect("a step");
    for descent in [Descent::adam(0.02), Descent { average: true, ..Descent::adam(0.02) }] {
        let tiled = Run { descent, ..run() };
        let plan = tiled.plan(HUGE, Some(112)).expect("a plan");
        let (tiled_rows, tiled_picture, _) = tiled.paint(&plan, 1).expect("a step");
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-4 * a.abs().max(1e-3);
        let (a, b) = (rows[0], tiled_rows[0]);
        assert!(close(a.total, b.total) && close(a.content, b.content), "{a:?} {b:?}");
        assert!(close(a.style, b.style) && close(a.tv, b.tv), "{a:?} {b:?}");
        // Adam's first step is the gradient's sign: it may differ where that is next to nothing.
        let pairs = picture.rgb().iter().zip(tiled_picture.rgb());
        let apart = pairs.filter(|(a, b)| (**a - **b).abs() > 1e-4).count();
        assert!(apart < picture.rgb().len() / 1000, "{apart} colours differ");
    }
    whole.gpu.limit_bytes(whole.gpu.allocated_bytes() + 1_000_000);
    let error = whole.paint(&plan, 1).map(drop).expect_err("no room");
    assert!(matches!(error, Error::Memory(_)), "{error}");
}

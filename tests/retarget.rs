//! A painting in progress that is re-aimed goes on as one that was begun for the new aim.

mod common;

use std::time::Instant;

use common::{gpu, measured};
use impasto::Result;
use impasto::loss::{Aim, LayerWeight, LossSettings, Mask, Pixels, Regions, StyleLoss};
use impasto::nets::{Graph, Network};
use impasto::optim::Method;
use impasto::paint::{
    Carried, Descent, Event, Job, Layout, LossRow, Painter, Start, TileLayout, Verdict,
};
use impasto::picture::{Depth, Picture};

const SIZE: (u32, u32) = (77, 70);

fn pattern((width, height): (u32, u32), seed: u32) -> Picture {
    let value = |i: u32| ((i * seed + i / width * 11) % 251) as f32 / 255.0;
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

fn loss() -> LossSettings {
    let layers = |list| LayerWeight::list(list).expect("layers");
    LossSettings {
        content_layers: layers("relu2_2"),
        style_layers: layers("relu1_1,relu3_1"),
        ..LossSettings::plain()
    }
}

fn steps(painter: &mut Painter, steps: u64) -> Result<Vec<LossRow>> {
    let mut rows = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::Losses(losses) = event {
            rows.extend_from_slice(losses);
        }
        Verdict::Continue
    };
    pollster::block_on(painter.paint(steps, None, &mut watch))?;
    Ok(rows)
}

/// Paints three steps at one aim and three at another; the same by a painter that begins where the first aim ended.
fn check(name: &str, descent: Descent, layout: Layout, to: &LossSettings, regions: &Regions) {
    let graph = Graph::new(Network::random(16, 3, Some("relu3_1")).expect("a network"));
    let graph = graph.expect("a graph");
    let content = pattern(SIZE, 3);
    let pictures = [(pattern((40, 62), 7), 1.0), (pattern((51, 43), 13), 2.0)];
    let first = measured(gpu(), &graph, &loss(), &pictures[..1]);
    let second = measured(gpu(), &graph, to, &pictures);
    let job = |start| Job {
        content: &content,
        styles: &first,
        regions: Regions::ALL,
        start,
        loss: loss(),
        descent,
        layout,
    };
    let run = || -> Result<()> {
        let new = |job: &Job<'_>| pollster::block_on(Painter::new(gpu(), &graph, job));
        let mut painter = new(&job(Start::Content))?;
        let before = steps(&mut painter, 3)?;
        let carried = pollster::block_on(painter.carried())?;
        let (content, loss) = (Pixels::of(&content), to);
        let tile = layout.measuring_tile();
        let aim = Aim { content, styles: &second, regions, loss, tile };
        let lap = Instant::now();
        pollster::block_on(painter.retarget(&graph, &aim))?;
        let re_aimed = lap.elapsed();
        assert_eq!(painter.steps(), 3);
        let plan = painter.plan().clone();
        let rows = steps(&mut painter, 3)?;
        let carried = known(carried, &descent);
        let start = Start::Carried(Box::new(carried));
        let lap = Instant::now();
        let mut fresh = new(&Job { styles: &second, regions, loss: to.clone(), ..job(start) })?;
        println!("{name}: {re_aimed:.1?}, and with a new painter {:.1?}", lap.elapsed());
        assert_eq!(plan, *fresh.plan(), "{name}");
        let expected = steps(&mut fresh, 3)?;
        let losses =
            |rows: &[LossRow]| rows.iter().map(|r| [r.total, r.content, r.style, r.tv]).collect();
        let (rows, expected): (Vec<_>, Vec<_>) = (losses(&rows), losses(&expected));
        assert_eq!(rows, expected, "{name}");
        assert!((rows[0][2] / before[2].style - 1.0).abs() > 0.01, "{name}: the aim is the same");
        Ok(())
    };
    run().unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// What a painter may know of another loss: L-BFGS nothing but the count of steps.
fn known(mut carried: Carried, descent: &Descent) -> Carried {
    if matches!(descent.method, Method::Lbfgs { .. }) {
        carried.state.tensors.clear();
    }
    carried
}

fn tiles(keep: bool) -> Layout {
    Layout { tiles: Some(TileLayout { most: 56, keep }), ..Layout::default() }
}

#[test]
fn a_painting_is_re_aimed() {
    let adam = Descent { average: true, ..Descent::adam(0.02) };
    let other = LossSettings { style_weight: 30.0, tv_weight: 0.0, ..loss() };
    let weaker = LossSettings { strength: 0.4, style_loss: StyleLoss::MeanStd, ..loss() };
    let half = |left: bool| {
        let of = |i: u32| f32::from(u8::from((i % SIZE.0 < 40) == left));
        let rgb = (0..3 * SIZE.0 * SIZE.1).map(of).collect();
        Mask::of(&Picture::from_planes(SIZE, rgb, None, Depth::Eight).expect("planes fit"))
    };
    let halves = Regions { content: vec![half(true), half(false)], style: Vec::new() };
    for (where_, layout) in
        [("on the GPU", Layout::default()), ("in tiles", tiles(false)), ("kept", tiles(true))]
    {
        check(&format!("other styles {where_}"), adam, layout, &other, Regions::ALL);
        check(&format!("weaker {where_}"), adam, layout, &weaker, Regions::ALL);
        check(&format!("in regions {where_}"), adam, layout, &loss(), &halves);
    }
    let lbfgs = Descent { method: Method::Lbfgs { history: 5 }, ..Descent::default() };
    check("L-BFGS", lbfgs, Layout::default(), &other, Regions::ALL);
    check("L-BFGS, weaker", lbfgs, Layout::default(), &weaker, Regions::ALL);
}

#[test]
fn what_would_be_measured_again_is_refused() -> Result<()> {
    let graph = Graph::new(Network::random(16, 3, Some("relu3_1"))?)?;
    let (content, other) = (pattern(SIZE, 3), pattern((33, 33), 3));
    let styles = measured(gpu(), &graph, &loss(), &[(pattern((40, 62), 7), 1.0)]);
    let job = Job {
        content: &content,
        styles: &styles,
        regions: Regions::ALL,
        start: Start::Content,
        loss: loss(),
        descent: Descent::adam(0.02),
        layout: Layout::default(),
    };
    let mut painter = pollster::block_on(Painter::new(gpu(), &graph, &job))?;
    let layers = |list| LayerWeight::list(list).expect("layers");
    for (what, content, loss) in [
        ("another size", &other, loss()),
        ("content is read", &content, LossSettings { content_layers: layers("relu2_1"), ..loss() }),
        ("styles are read", &content, LossSettings { style_layers: layers("relu2_1"), ..loss() }),
        ("detail", &content, LossSettings { detail_weight: 1.0, ..loss() }),
        // A style that was measured for less.
        ("measure it again", &content, LossSettings { style_loss: StyleLoss::MeanStd, ..loss() }),
    ] {
        let (content, styles, regions, loss) = (Pixels::of(content), &styles, Regions::ALL, &loss);
        let aim = Aim { content, styles, regions, loss, tile: None };
        let refused = pollster::block_on(painter.retarget(&graph, &aim)).expect_err(what);
        assert!(refused.to_string().contains(what), "{what}: {refused}");
    }
    // It goes on as if nothing had been asked.
    assert_eq!(steps(&mut painter, 2)?.len(), 2);
    Ok(())
}

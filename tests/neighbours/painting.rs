//! Steps by neighbours: after a break, in tiles, re-aimed, and in which colours.

use impasto::Result;
use impasto::loss::neighbours::Found;
use impasto::loss::{
    Aim, LayerWeight, LossSettings, Pixels, StyleLoss, StyleTargets, StyleTraits, Targets,
};
use impasto::paint::{Descent, Event, Job, Layout, Painter, Start, TileLayout, Verdict};
use impasto::picture::Picture;
use pollster::block_on;

use crate::common::{self, gpu};
use crate::scene::{Scene, picture, scene};

/// Takes steps; hands on.
fn painted(scene: &Scene, layout: Layout, start: Start, steps: u64) -> Result<Painter> {
    let traits = scene.traits(layout.measuring_tile())?;
    let job = Job {
        content: &scene.content,
        styles: &traits,
        regions: &scene.regions,
        start,
        loss: scene.settings.clone(),
        descent: Descent::adam(0.01),
        layout,
    };
    let mut painter = block_on(Painter::new(gpu(), &scene.graph, &job))?;
    let mut watch = |_: Event<'_>| Verdict::Continue;
    block_on(painter.paint(steps, None, &mut watch))?;
    Ok(painter)
}

#[test]
fn a_painting_that_goes_on_takes_the_same_steps() -> Result<()> {
    let tiles = Layout { tiles: Some(TileLayout { most: 144, keep: false }), ..Layout::default() };
    for (splits, layout) in
        [(false, Layout::default()), (true, Layout::default()), (false, tiles), (true, tiles)]
    {
        let scene = scene(splits);
        let through = painted(&scene, layout, Start::Content, 5)?;
        let half = painted(&scene, layout, Start::Content, 3)?;
        let start = Start::Carried(Box::new(block_on(half.carried())?));
        let on = painted(&scene, layout, start, 2)?;
        let (through, on) = (block_on(through.carried())?, block_on(on.carried())?);
        assert!(through.state == on.state, "split {splits}, {layout:?}: another state");
        assert!(through.picture == on.picture, "split {splits}, {layout:?}: another picture");
        assert!(on.picture.rgb() != scene.content.rgb());
    }
    Ok(())
}

#[test]
fn whole_and_in_tiles_the_picture_is_the_same() -> Result<()> {
    let scene = scene(false);
    let tiles = Layout { tiles: Some(TileLayout { most: 144, keep: false }), ..Layout::default() };
    let whole = block_on(painted(&scene, Layout::default(), Start::Content, 4)?.picture())?;
    let tiled = block_on(painted(&scene, tiles, Start::Content, 4)?.picture())?;
    let off = whole.rgb().iter().zip(tiled.rgb()).map(|(a, b)| f64::from((a - b).abs()));
    let mean = off.sum::<f64>() / whole.rgb().len() as f64;
    assert!(mean < 2e-3, "off by {mean:.1e} on average");
    Ok(())
}

/// The colours are those of the styles, in mean and in spread.
#[test]
fn a_painting_has_the_colours_of_its_style() -> Result<()> {
    let mut scene = scene(false);
    scene.settings.strength = 1.0;
    scene.styles = vec![(picture((120, 96), |i| 0.4 + 0.2 * (0.9 * i as f64).sin()), 1.0)];
    let painting = block_on(painted(&scene, Layout::default(), Start::Content, 2)?.picture())?;
    let about = |picture: &Picture| {
        let pixels = picture.rgb().len() / 3;
        let plane = &picture.rgb()[..pixels];
        let mean = plane.iter().sum::<f32>() / pixels as f32;
        (mean, plane.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / pixels as f32)
    };
    let ((mean, spread), wanted) = (about(&painting), about(&scene.styles[0].0));
    assert!((mean - wanted.0).abs() < 0.01, "{mean} is not {}", wanted.0);
    assert!((spread / wanted.1 - 1.0).abs() < 0.1, "{spread} is not {}", wanted.1);
    Ok(())
}

/// A strength moves colours no further than it goes.
#[test]
fn colours_go_as_far_as_the_strength() -> Result<()> {
    let even = |value: f64| picture((96, 72), move |i| value + 0.02 * (0.9 * i as f64).sin());
    let mut scene = scene(false);
    (scene.content, scene.styles) = (even(0.8), vec![(even(0.2), 1.0)]);
    scene.settings.strength = 0.5;
    let painting = block_on(painted(&scene, Layout::default(), Start::Content, 1)?.picture())?;
    let (mut sum, mut squares) = (0.0, 0.0);
    for value in painting.rgb() {
        (sum, squares) = (sum + f64::from(*value), squares + f64::from(value * value));
    }
    let count = painting.rgb().len() as f64;
    let (mean, spread) = (sum / count, (squares / count - (sum / count).powi(2)).sqrt());
    assert!((mean - 0.5).abs() < 0.03, "{mean}");
    assert!(spread < 0.05, "a spread of {spread}");
    Ok(())
}

/// Neighbours of other styles are no neighbours.
#[test]
fn what_was_found_elsewhere_is_looked_for_again() -> Result<()> {
    let first = scene(false);
    let half = painted(&first, Layout::default(), Start::Content, 2)?;
    let carried = block_on(half.carried())?;
    let mut second = scene(false);
    second.styles.swap(0, 1);
    let start = Start::Carried(Box::new(carried.clone()));
    let on = block_on(painted(&second, Layout::default(), start, 1)?.carried())?;
    assert!(on.state.tensors["choice"] != carried.state.tensors["choice"]);
    assert!(on.state.tensors["seal"] != carried.state.tensors["seal"]);
    let traits = first.traits(None)?;
    let aim = first.aim(&traits);
    let style = block_on(StyleTargets::new(gpu(), &aim, None))?;
    let content = Pixels::of(&first.content).upload(gpu())?;
    let targets = block_on(Targets::measure(gpu(), &first.graph, &aim, (&content, style)))?;
    let error = targets.set_found(gpu(), &Found::default()).expect_err("refused").to_string();
    assert!(error.contains("look again"), "{error}");
    Ok(())
}

/// A painting that is re-aimed goes on as a new one would from what it left.
#[test]
fn a_painting_is_re_aimed() -> Result<()> {
    let tiles = Layout { tiles: Some(TileLayout { most: 144, keep: false }), ..Layout::default() };
    for layout in [Layout::default(), tiles] {
        let (first, mut second) = (scene(false), scene(false));
        second.styles.swap(0, 1);
        let mut painter = painted(&first, layout, Start::Content, 2)?;
        let carried = block_on(painter.carried())?;
        let traits = second.traits(layout.measuring_tile())?;
        let aim = Aim { tile: layout.measuring_tile(), ..second.aim(&traits) };
        block_on(painter.retarget(&second.graph, &aim))?;
        block_on(painter.paint(2, None, &mut |_| Verdict::Continue))?;
        let start = Start::Carried(Box::new(carried));
        let fresh = block_on(painted(&second, layout, start, 2)?.carried())?;
        let re_aimed = block_on(painter.carried())?;
        assert!(re_aimed.state == fresh.state && re_aimed.picture == fresh.picture, "{layout:?}");
        let moments = LossSettings { style_loss: StyleLoss::Gram, ..second.settings.clone() };
        let measured = common::measured(gpu(), &second.graph, &moments, &second.styles);
        let aim = Aim { loss: &moments, styles: &measured, ..second.aim(&traits) };
        let error = block_on(painter.retarget(&second.graph, &aim)).expect_err("refused");
        assert!(error.to_string().contains("begin a new painting"), "{error}");
    }
    Ok(())
}

#[test]
fn what_was_measured_for_moments_is_refused() -> Result<()> {
    let scene = scene(false);
    let moments = LossSettings { style_loss: StyleLoss::Gram, ..scene.settings.clone() };
    let of = |loss: &LossSettings| common::measured(gpu(), &scene.graph, loss, &scene.styles);
    let error = |loss: &LossSettings, traits: &[(StyleTraits, f32)]| {
        let aim = Aim { loss, ..scene.aim(traits) };
        block_on(StyleTargets::new(gpu(), &aim, None)).err().expect("refused").to_string()
    };
    let (by_place, by_moments) = (of(&scene.settings), of(&moments));
    assert!(error(&scene.settings, &by_moments).contains("measure it again"));
    assert!(error(&moments, &by_place).contains("measure it again"));
    let fewer = LayerWeight::list("relu1_1,relu3_1").expect("layers");
    let fewer = LossSettings { style_layers: fewer, ..scene.settings.clone() };
    assert!(error(&fewer, &by_place).contains("other layers"));
    Ok(())
}

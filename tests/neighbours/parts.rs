//! Pictures in parts: tiles, f16, and which places may choose what.

use impasto::Result;
use impasto::loss::StyleTargets;
use impasto::nets::{Graph, default_network};
use impasto::shape::Precision;
use pollster::block_on;

use crate::common::{self, gpu, pattern};
use crate::scene::{half, numbers, scene};

#[test]
fn tiles_give_the_gradient_of_the_whole() -> Result<()> {
    for (splits, masked) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut scene = scene(splits);
        if masked {
            let size = scene.content.size();
            scene.regions.content = vec![half(size, 100, true), half(size, 100, false)];
            let of = |at: usize| scene.styles[at].0.size();
            scene.regions.style = vec![half(of(0), 60, true), half(of(1), 30, false)];
        }
        let pixels = vec![scene.picture.rgb().to_vec()];
        let (found, (loss, gradient)) = scene.whole(&pixels)?;
        let (found_in_tiles, (in_tiles, tiled)) = scene.tiled(144)?;
        let what = format!("split {splits}, masked {masked}");
        if splits {
            let error = common::relative_error(
                &found_in_tiles.centre,
                &found.centre.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(),
            );
            assert!(error < 1e-5, "{what}: the centre is off by {error:.1e}");
        } else {
            assert!(numbers(&found) == numbers(&found_in_tiles), "{what}: other neighbours");
        }
        let off = (in_tiles / loss - 1.0).abs();
        let gradient: Vec<f64> = gradient.iter().map(|v| f64::from(*v)).collect();
        let error = common::relative_error(&tiled, &gradient);
        eprintln!("{what}: loss off by {off:.1e}, gradient by {error:.1e}");
        assert!(off < 1e-5, "{what}: {in_tiles} is not {loss}");
        assert!(error < 1e-4, "{what}: the gradient is off by {error:.1e}");
    }
    Ok(())
}

#[test]
fn maps_in_f16_come_near() -> Result<()> {
    if !gpu().report().f16 {
        common::skipped(&format!("neighbours with f16: {} has none", gpu().report().name));
        return Ok(());
    }
    for splits in [false, true] {
        let mut scene = scene(splits);
        let pixels = vec![scene.picture.rgb().to_vec()];
        let (_, (full, gradient)) = scene.whole(&pixels)?;
        let gradient: Vec<f64> = gradient.iter().map(|v| f64::from(*v)).collect();
        scene.graph = scene.graph.with_precision(Precision::F16);
        for (half, halves) in [scene.whole(&pixels)?.1, scene.tiled(144)?.1] {
            let error = common::relative_error(&halves, &gradient);
            println!("split {splits}: loss {half} and {full}, gradient off by {error:.1e}");
            assert!((half / full - 1.0).abs() < 2e-2, "{half} is not {full}");
            assert!(error < 0.1, "the gradient is off by {error:.1e}");
        }
    }
    Ok(())
}

#[test]
fn a_style_is_its_own_nearest_neighbour() -> Result<()> {
    let style = pattern(4);
    let mut scene = scene(false);
    scene.settings.strength = 1.0;
    (scene.graph, scene.styles) = (Graph::new(default_network(None)?)?, vec![(style.clone(), 1.0)]);
    (scene.content, scene.picture) = (style.clone(), style);
    let traits = scene.traits(None)?;
    let targets = block_on(StyleTargets::new(gpu(), &scene.aim(&traits), None))?;
    let found = scene.found(&targets, usize::MAX)?;
    // The first rotation is the style as it is. Means differ, one over a picture and one over its rotations too: some
    // places are nearer to others.
    let own = numbers(&found).iter().enumerate().filter(|(place, number)| place == *number).count();
    assert!(10 * own > 9 * found.choice.len(), "{own} of {}", found.choice.len());
    Ok(())
}

/// Masks say which styles a place may choose from, and a style's own which of its places there are.
#[test]
fn masks_restrict_the_choice() -> Result<()> {
    let mut scene = scene(false);
    let size = scene.content.size();
    // The same style twice: the left half of it for the left, the other for the right.
    let style = scene.styles[0].0.clone();
    scene.styles = vec![(style.clone(), 1.0), (style.clone(), 1.0)];
    scene.regions.content = vec![half(size, 100, true), half(size, 100, false)];
    scene.regions.style = vec![half(style.size(), 64, true), half(style.size(), 64, false)];
    let traits = scene.traits(None)?;
    let targets = block_on(StyleTargets::new(gpu(), &scene.aim(&traits), None))?;
    let found = scene.found(&targets, usize::MAX)?;
    assert!(found.choice.iter().all(|number| *number >= 0.0), "a place has none");
    let chosen = numbers(&found);
    let columns = size.0 as usize / 4;
    // As many of either half: the pool has one behind the other.
    let of = |left: bool| -> Vec<usize> {
        let own = chosen.iter().enumerate().filter(|(place, _)| (place % columns < 25) == left);
        own.map(|(_, number)| *number).collect()
    };
    let (left, right) = (of(true).into_iter().max(), of(false).into_iter().min());
    assert!(left < right, "{left:?} {right:?}");
    Ok(())
}

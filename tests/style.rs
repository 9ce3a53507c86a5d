//! What the style losses promise beyond their goldens (`tests/programs.rs`): nothing is lost where nothing differs, blends
//! average moments, and pictures without any style give numbers.

mod common;

use common::{gpu, relative_error};
use impasto::Result;
use impasto::loss::{LossSettings, Normalization, StyleLoss};
use impasto::nets::{Graph, Network, Preprocess};
use impasto::picture::{Depth, Picture};
use impasto::tape::Tape;
use impasto::tiles::measure::{self, Styles};

fn graph() -> Graph {
    let mut network = Network::random(8, 5, Some("relu4_1")).expect("a random network");
    network.preprocess = Preprocess::caffe();
    Graph::new(network).expect("a graph")
}

fn settings(style_loss: StyleLoss, normalization: Normalization) -> LossSettings {
    let only = LossSettings { content_weight: 0.0, tv_weight: 0.0, ..LossSettings::plain() };
    LossSettings { style_loss, normalization, style_weight: 1.0, ..only }
}

fn each(check: impl Fn(&str, &LossSettings)) {
    for loss in StyleLoss::OF_MOMENTS {
        for normalization in Normalization::ALL {
            check(&format!("{loss}, {normalization}"), &settings(loss, normalization));
        }
    }
}

/// A picture of waves, or a flat one.
fn picture(size: usize, value: impl Fn(usize) -> f32) -> Picture {
    let numbers: Vec<f32> = (0..3 * size * size).map(value).collect();
    let side = size as u32;
    Picture::from_planes((side, side), numbers, None, Depth::Eight).expect("planes fit")
}

fn waves(step: usize) -> Picture {
    picture(40, |i| ((i * step + i / 40 * 13) % 89) as f32 / 89.0)
}

/// The style loss of `x`, and its gradient.
fn style(settings: &LossSettings, styles: &[(Picture, f32)], x: &Picture) -> (f32, Vec<f32>) {
    let run = async || -> Result<(f32, Vec<f32>)> {
        let graph = graph();
        let x = gpu().tensor([3, x.height() as usize, x.width() as usize], x.rgb())?;
        let targets = measure::targets(gpu(), &graph, settings, &x, &Styles::of(styles)).await?;
        let mut tape = Tape::new(gpu());
        let x = tape.variable(&x);
        let losses = targets.record(&mut tape, &graph, settings, x)?;
        let gradients = tape.backward(losses.total)?;
        let gradient = tape.gradient(&gradients, x).expect("the loss depends on x");
        let (loss, gradient) = (tape.keep(losses.style)?, tape.keep(gradient)?);
        let program = tape.finish()?;
        program.poison();
        program.run().await?;
        Ok((gpu().read(&loss).await?[0], gpu().read(&gradient).await?))
    };
    pollster::block_on(run()).expect("a loss")
}

#[test]
fn a_picture_in_its_own_style_has_next_to_no_loss() {
    each(|name, settings| {
        let (own, _) = style(settings, &[(waves(7), 1.0)], &waves(7));
        let (other, _) = style(settings, &[(waves(7), 1.0)], &waves(31));
        // Small eigenvalues count for less than their roots: see `ops::root_trace`.
        let part = if settings.style_loss == StyleLoss::Wasserstein { 0.2 } else { 1e-6 };
        assert!(own.abs() < part * other && other > 0.0, "{name}: {own} beside {other}");
    });
}

#[test]
fn weights_of_equal_styles_do_not_matter() {
    each(|name, settings| {
        let (one, _) = style(settings, &[(waves(7), 0.3)], &waves(31));
        let (blend, _) = style(settings, &[(waves(7), 3.0), (waves(7), 1.0)], &waves(31));
        let (other, _) = style(settings, &[(waves(7), 3.0), (waves(11), 1.0)], &waves(31));
        assert!((one / blend - 1.0).abs() < 1e-4, "{name}: {one} and {blend}");
        assert!((one / other - 1.0).abs() > 1e-3, "{name}: {one} and {other}");
    });
}

/// [`style`] takes the picture for the content, too.
#[test]
fn a_strength_is_the_share_of_the_pull_away_from_the_content() {
    each(|name, settings| {
        let at = |strength| {
            let settings = LossSettings { strength, ..settings.clone() };
            style(&settings, &[(waves(7), 1.0)], &waves(31))
        };
        let [(none, _), (some, pull), (all, whole)] = [0.0, 0.3, 1.0].map(at);
        let part = if settings.style_loss == StyleLoss::Wasserstein { 0.2 } else { 1e-6 };
        assert!(
            none.abs() < part * all && none < some && some < all,
            "{name}: {none} {some} {all}"
        );
        if settings.style_loss == StyleLoss::Gram {
            assert!((some / all - 0.09).abs() < 1e-4, "{name}: {some} of {all}");
            let expected: Vec<f64> = whole.iter().map(|v| 0.3 * f64::from(*v)).collect();
            let error = relative_error(&pull, &expected);
            assert!(error < 1e-4, "{name}: the pull is off by {error:.1e}");
        }
    });
}

#[test]
fn flat_and_tiny_pictures_give_numbers() {
    each(|name, settings| {
        let flat = |value| picture(16, move |_| value);
        let tiny = picture(8, |i| (i % 5) as f32 / 5.0);
        for (goal, x) in [
            (flat(0.0), flat(0.0)),
            (flat(0.0), waves(7)),
            (waves(7), flat(1.0)),
            (waves(7), tiny.clone()),
            (tiny.clone(), waves(7)),
        ] {
            let (loss, gradient) = style(settings, &[(goal, 1.0)], &x);
            assert!(loss.is_finite(), "{name}: {loss}");
            assert!(gradient.iter().all(|v| v.is_finite()), "{name}: the gradient is not finite");
        }
    });
}

//! Against PyTorch in f64: which vectors are nearest, the loss, and its gradient to the coefficients of the picture's Laplacian
//! pyramid.
//!
//! To renew the goldens: `IMPASTO_GOLDEN=DIR cargo test --test programs -- --ignored` writes pictures and a network into DIR;
//! `python tests/golden/neighbours.py DIR tests/golden [VGG19.safetensors]` computes them.

use impasto::Result;
use impasto::loss::Regions;
use impasto::nets::{Graph, Network, Preprocess, default_network};
use serde::Deserialize;

use crate::common::{self, pattern};
use crate::scene::{Scene, numbers, settings};

/// Numbers of all places' neighbours, and how much nearer they are than the next; the losses, and every seventh number of their
/// gradients.
#[derive(Deserialize)]
struct Golden {
    numbers: Vec<f32>,
    gaps: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    split_loss: f64,
    split_gradient: Vec<f64>,
}

fn networks() -> Vec<(&'static str, Network)> {
    let mut small = Network::random(8, 5, Some("relu5_1")).expect("a random network");
    small.preprocess = Preprocess::caffe();
    let mut all = vec![("small", small), ("default", default_network(None).expect("embedded"))];
    if let Some(folder) = common::shared("the neighbours of VGG-19") {
        let bytes = std::fs::read(folder.join("weights/vgg19-to-conv4_1.safetensors"));
        let bytes = bytes.expect("the weights");
        all.push(("vgg19", Network::from_safetensors(&bytes, "vgg19", None).expect("it loads")));
    }
    all
}

#[test]
fn matches_losses_and_gradients_are_those_of_pytorch() -> Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/neighbours");
    for (name, network) in networks() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("golden");
        let golden: Golden = serde_json::from_str(&text).expect("numbers");
        let mut scene = Scene {
            graph: Graph::new(network)?,
            settings: settings(false),
            content: pattern(1),
            picture: pattern(9),
            styles: vec![(pattern(4), 1.0)],
            regions: Regions::default(),
        };
        let mut levels = scene.levels().split(scene.picture.rgb());
        for level in &mut levels {
            // No two pixels alike: ties in max pools have a gradient that rounding decides.
            level.iter_mut().enumerate().for_each(|(i, v)| *v += (0.02 * (i as f64).sin()) as f32);
        }
        let expected =
            [(golden.loss, &golden.gradient), (golden.split_loss, &golden.split_gradient)];
        for (splits, (loss, gradient)) in [false, true].into_iter().zip(expected) {
            scene.settings = settings(splits);
            let (found, (own, own_gradient)) = scene.whole(&levels)?;
            if !splits {
                let chosen = numbers(&found);
                let places = chosen.iter().zip(&golden.numbers).zip(&golden.gaps);
                let others = places.filter(|((own, other), _)| **own as f32 != **other);
                // Another one may be as near.
                let wrong = others.filter(|(_, gap)| **gap > 1e-5).count();
                assert_eq!(wrong, 0, "{name}: other neighbours");
            }
            let wrong = (f64::from(own) / loss - 1.0).abs();
            let some: Vec<f32> = own_gradient.iter().step_by(7).copied().collect();
            let error = common::relative_error(&some, gradient);
            eprintln!("{name}, split {splits}: loss off by {wrong:.1e}, gradient by {error:.1e}");
            assert!(wrong < 1e-4, "{name}: {own} is not {loss}");
            assert!(error < 1e-3, "{name}: the gradient is off by {error:.1e}");
        }
    }
    Ok(())
}

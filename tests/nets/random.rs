//! Networks from a seed.

use impasto::Error;
use impasto::nets::{Layer, Network, PreprocessSource};

use crate::build::names;

fn weights(network: &Network, at: usize) -> &[f32] {
    match &network.layers[at] {
        Layer::Conv { conv, .. } => &conv.weight,
        Layer::Pool { .. } => panic!("layer {at} is a pool"),
    }
}

#[test]
fn the_table_is_vgg19s() {
    let network = Network::random(16, 0, None).unwrap();
    assert_eq!(
        names(&network),
        "conv1_1 conv1_2 pool1 conv2_1 conv2_2 pool2 conv3_1 conv3_2 conv3_3 conv3_4 pool3 \
         conv4_1 conv4_2 conv4_3 conv4_4 pool4 conv5_1 conv5_2 conv5_3 conv5_4"
    );
    let width = |tap| network.channels(tap).unwrap();
    let taps = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_4"];
    assert_eq!(taps.map(width), [4, 8, 16, 32, 32]);
    assert_eq!(network.name, "random:vgg19/16");
    assert_eq!(network.preprocess_source, PreprocessSource::Random);
    assert!(network.to_safetensors().is_ok());
}

#[test]
fn vgg19_to_relu5_1_takes_361152_macs_a_pixel() {
    let network = Network::random(1, 0, Some("relu5_1")).unwrap();
    let depth = network.depth(&["relu5_1"]).unwrap();
    assert_eq!(depth, network.layers.len());
    assert_eq!(network.macs_per_pixel(depth), 361_152.0);
    assert_eq!(network.parameter_bytes(depth), 51_779_840);
}

#[test]
fn weights_are_normal_with_he_deviation() {
    let network = Network::random(4, 3, Some("relu3_2")).unwrap();
    let weights = weights(&network, 7);
    assert_eq!(weights.len(), 64 * 64 * 9);
    let count = weights.len() as f64;
    let moment = |power| weights.iter().map(|&w| f64::from(w).powi(power)).sum::<f64>() / count;
    let variance = 2.0 / (9.0 * 64.0);
    assert!(moment(1).abs() < 4.0 * (variance / count).sqrt());
    assert!((moment(2) / variance - 1.0).abs() < 4.0 * (2.0 / count).sqrt());
    let kurtosis = moment(4) / moment(2).powi(2);
    assert!((kurtosis - 3.0).abs() < 4.0 * (24.0 / count).sqrt(), "{kurtosis}");
}

#[test]
fn bits_depend_on_the_seed_only() {
    let first = |seed| {
        let network = Network::random(64, seed, Some("relu1_1")).unwrap();
        [0, 1, 2, 3].map(|at: usize| weights(&network, 0)[at].to_bits())
    };
    // From ChaCha8 and Box–Muller written a second time, in Python.
    assert_eq!(first(0), [0xbde1_8029, 0xbdf4_7b7f, 0x3eaf_fb6c, 0x3ea0_50c3]);
    assert_ne!(first(1), first(0));
    let long = Network::random(64, 5, None).unwrap();
    let short = Network::random(64, 5, Some("relu2_2")).unwrap();
    assert_eq!(long.layers[..short.layers.len()], short.layers);
}

#[test]
fn bad_arguments_are_refused() {
    for divide in [0, 3, 5, 65, 128, u32::MAX] {
        let error = Network::random(divide, 0, None).unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        assert!(error.to_string().contains("take 1, 2, 4, 8, 16, 32 or 64"));
    }
    for divide in [1, 2, 4, 8, 16, 32, 64] {
        assert!(Network::random(divide, 0, Some("relu1_1")).is_ok());
    }
    let error = Network::random(8, 0, Some("relu6_1")).unwrap_err().to_string();
    assert!(
        error.starts_with("random:vgg19/8: there is no tap `relu6_1`; the network has relu1_1,")
    );
}

//! The embedded network: what the program promises about it.

use impasto::nets::{Network, Preprocess, PreprocessSource, Side, default_network};

/// The taps that a loss may want, by VGG's names.
const TAPS: [&str; 6] = ["relu1_1", "relu2_1", "relu2_2", "relu3_1", "relu3_3", "relu4_1"];

#[test]
fn it_loads_and_has_vggs_taps() {
    let network = default_network(None).unwrap();
    assert_eq!(network.name, "default");
    assert_eq!(network.preprocess_source, PreprocessSource::Metadata);
    assert_eq!(network.side, Side::Linear);
    assert!(TAPS.iter().all(|tap| network.sides.contains_key(*tap)), "{:?}", network.sides.keys());
    let vgg = Network::random(1, 0, Some("relu4_1")).unwrap();
    let [ours, vggs] = [&network, &vgg].map(|n| n.taps().collect::<Vec<_>>());
    assert_eq!(ours, vggs);
    let given = default_network(Some(Preprocess::caffe())).unwrap();
    assert_eq!(given.preprocess, Preprocess::caffe());
}

#[test]
fn it_is_small_and_cheap() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/default.safetensors");
    let bytes = std::fs::metadata(path).unwrap().len();
    assert!(bytes <= 3_000_000, "{bytes} bytes");
    // All side maps at once, which no run needs.
    let all = usize::MAX;
    let network = default_network(None).unwrap().macs_per_pixel(all);
    let vgg = Network::random(1, 0, Some("relu4_1")).unwrap().macs_per_pixel(all);
    assert!(network <= 0.3 * vgg, "{network} of {vgg} multiply-adds a pixel");
}

#[test]
fn it_survives_being_written() {
    let network = default_network(None).unwrap();
    let bytes = network.to_safetensors().unwrap();
    assert_eq!(Network::from_safetensors(&bytes, "default", None).unwrap(), network);
}

//! Real weights, from the folder that `IMPASTO_SHARED` names; skipped where it is not set.

use std::io::Write;
use std::path::PathBuf;

use impasto::nets::{Network, Padding, Preprocess, PreprocessSource};

use crate::build::names;
use crate::pruned::convert_pruned;

/// One file of `weights/`, or nothing, said aloud.
fn weights(file: &str) -> Option<Vec<u8>> {
    let Some(shared) = std::env::var_os("IMPASTO_SHARED") else {
        // Not `eprintln`, which the test harness swallows.
        let _ = writeln!(std::io::stderr(), "skipped {file}: IMPASTO_SHARED is not set");
        return None;
    };
    let path = PathBuf::from(shared).join("weights").join(file);
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

#[test]
fn oxfords_vgg19_loads() {
    let Some(bytes) = weights("vgg19-to-conv4_1.safetensors") else {
        return;
    };
    let network = Network::from_safetensors(&bytes, "vgg19", None).unwrap();
    assert_eq!(
        names(&network),
        "conv1_1 conv1_2 pool1 conv2_1 conv2_2 pool2 conv3_1 conv3_2 conv3_3 conv3_4 pool3 conv4_1"
    );
    assert_eq!(network.preprocess, Preprocess::caffe());
    assert_eq!(network.preprocess_source, PreprocessSource::Names);
    assert_eq!(network.padding, Padding::Zero);
    let widths = network.taps().map(|tap| network.channels(&tap).unwrap());
    assert_eq!(widths.collect::<Vec<_>>(), [64, 64, 128, 128, 256, 256, 256, 256, 512]);
    assert_eq!(network.macs_per_pixel(usize::MAX), 241_344.0);
}

#[test]
fn the_pruned_network_loads_after_conversion() {
    let Some(bytes) = weights("vgg19-pruned16x-5SE.safetensors") else {
        return;
    };
    let bytes = convert_pruned(&bytes);
    let network = Network::from_safetensors(&bytes, "pruned", None).unwrap();
    assert_eq!(
        names(&network),
        "conv1_1 conv1_2 pool1 conv2_1 conv2_2 pool2 conv3_1 conv3_2 conv3_3 conv3_4 pool3 \
         conv4_1 conv4_2 conv4_3 conv4_4 pool4 conv5_1"
    );
    assert_eq!(network.preprocess, Preprocess::none());
    assert_eq!(network.padding, Padding::Reflect);
    assert_eq!(network.colour.as_ref().unwrap().shape(), [3, 3, 1, 1]);
    let sides: Vec<&str> = network.sides.keys().map(String::as_str).collect();
    assert_eq!(sides, ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]);
    let widths = sides.iter().map(|tap| network.channels(tap).unwrap());
    assert_eq!(widths.collect::<Vec<_>>(), [64, 128, 256, 512, 512]);
    assert_eq!(network.channels("relu1_2").unwrap(), 16);
    assert!(network.check_size(32, 32, usize::MAX).is_ok());
    assert!(network.check_size(31, 99, usize::MAX).is_err());
}

//! What a network offers, what it costs, and how small a picture may be.

use impasto::Error;
use impasto::nets::{Network, NetworkSpec, Padding};

use crate::build::{File, assert_refused, names};

fn small() -> Network {
    File::small().conv("side.relu1_2", [9, 4, 1, 1]).load().unwrap()
}

#[test]
fn taps_are_listed_in_order() {
    let network = small();
    let taps: Vec<String> = network.taps().collect();
    assert_eq!(taps, ["relu1_1", "relu1_2", "relu2_1"]);
    assert!(taps.iter().all(|tap| network.check_tap(tap).is_ok()));
    for missing in ["relu2_2", "conv2_2", "pool1", ""] {
        let parts = [format!("no tap `{missing}`"), "relu1_1, relu1_2, relu2_1".to_owned()];
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        assert_refused(network.check_tap(missing), &parts);
        assert_refused(network.channels(missing), &parts);
        assert_refused(network.depth(&["relu1_1", missing]), &parts);
        assert_refused(small().truncated(&[missing]), &parts);
    }
}

#[test]
fn side_maps_change_the_channels() {
    let channels = |tap| small().channels(tap).unwrap();
    assert_eq!(["relu1_1", "relu1_2", "relu2_1"].map(channels), [4, 9, 6]);
}

#[test]
fn what_comes_before_a_relu_is_a_tap_without_a_side_map() {
    let channels = |tap| small().channels(tap).unwrap();
    assert_eq!(["conv1_1", "conv1_2", "conv2_1"].map(channels), [4, 4, 6]);
    assert_eq!(small().depth(&["conv1_2", "relu1_1"]).unwrap(), 2);
    let shorter = small().truncated(&["conv1_2"]).unwrap();
    assert_eq!((names(&shorter), shorter.sides.len()), ("conv1_1 conv1_2".into(), 0));
}

#[test]
fn depth_is_the_deepest_taps() {
    let network = small();
    assert_eq!(network.depth(&[""; 0]).unwrap(), 0);
    assert_eq!(network.depth(&["relu1_1"]).unwrap(), 1);
    assert_eq!(network.depth(&["relu2_1", "relu1_2"]).unwrap(), 4);
    let shorter = network.clone().truncated(&["relu1_2", "relu1_1"]).unwrap();
    assert_eq!(names(&shorter), "conv1_1 conv1_2");
    assert_eq!(shorter.sides.len(), 1);
    assert!(shorter.to_safetensors().is_ok());
    let sideless = network.truncated(&["relu2_1"]).unwrap();
    assert_eq!(names(&sideless), "conv1_1 conv1_2 pool1 conv2_1");
    assert!(sideless.sides.is_empty());
}

#[test]
fn costs_are_counted() {
    let network = small();
    assert_eq!(network.macs_per_pixel(0), 0.0);
    assert_eq!(network.macs_per_pixel(1), 108.0);
    // conv1_1, conv1_2, its side map, and conv2_1 at a quarter of the pixels.
    assert_eq!(network.macs_per_pixel(usize::MAX), 108.0 + 144.0 + 36.0 + 216.0 / 4.0);
    assert_eq!(network.parameter_bytes(1), 4 * (108 + 4));
    let all = 108 + 4 + 144 + 4 + 36 + 9 + 216 + 6;
    assert_eq!(network.parameter_bytes(4), 4 * all);
    let colour = File::small().conv("colour", [3, 3, 1, 1]).load().unwrap();
    assert_eq!(colour.macs_per_pixel(1), 9.0 + 108.0);
}

#[test]
fn too_small_pictures_are_refused() {
    let mut network = File::vgg(&[&[1, 1], &[1], &[1], &[1]]).load().unwrap();
    let depth = network.depth(&["relu3_1"]).unwrap();
    assert!(network.check_size(4, 7, depth).is_ok());
    assert_refused(
        network.check_size(3, 600, depth),
        &["3×600", "conv3_1", "halved 2 times", "at least 4 px"],
    );
    assert!(network.check_size(1, 1, 2).is_ok());
    assert_refused(network.check_size(0, 1, 1), &["0×1"]);
    assert!(network.check_size(0, 0, 0).is_ok());
    assert_refused(network.check_size(7, 8, usize::MAX), &["conv4_1", "at least 8 px"]);
    network.padding = Padding::Replicate;
    assert!(network.check_size(4, 4, depth).is_ok());
    network.padding = Padding::Reflect;
    assert!(network.check_size(8, 8, depth).is_ok());
    let parts = ["at least 8 px", "reflection padding reads 2 px"];
    assert_refused(network.check_size(9, 7, depth), &parts);
    assert_refused(network.check_size(1, 2, 1), &["at least 2 px"]);
}

#[test]
fn any_number_of_pools_is_survived() {
    let blocks = vec![&[1usize][..]; 200];
    let network = File::vgg(&blocks).load().unwrap();
    assert_refused(network.check_size(u32::MAX, u32::MAX, usize::MAX), &["halved 199 times"]);
    assert!(network.macs_per_pixel(usize::MAX).is_finite());
}

#[test]
fn specs_are_parsed() {
    let parsed = |spec: &str| spec.parse::<NetworkSpec>();
    for (spec, expected) in [
        ("default", NetworkSpec::Default),
        ("random:vgg19", NetworkSpec::Random { divide: 1 }),
        ("random:vgg19/16", NetworkSpec::Random { divide: 16 }),
        ("dir/vgg.safetensors", NetworkSpec::File("dir/vgg.safetensors".into())),
        ("RANDOM.SafeTensors", NetworkSpec::File("RANDOM.SafeTensors".into())),
        ("random.safetensors", NetworkSpec::File("random.safetensors".into())),
    ] {
        let got = parsed(spec).unwrap();
        assert_eq!(got, expected);
        assert_eq!(got.to_string(), spec);
    }
    for (spec, part) in [
        ("", "choose default, random:vgg19[/K] or a file"),
        ("vgg19", "choose default"),
        ("vgg19.pth", "convert a PyTorch checkpoint"),
        ("random", "write random:vgg19"),
        ("random:vgg16", "write random:vgg19"),
        ("random:vgg19/", "random:vgg19/K"),
        ("random:vgg19/x", "random:vgg19/K"),
        ("random:vgg19/0", "take 1, 2, 4"),
        ("random:vgg19/3", "take 1, 2, 4"),
        ("random:vgg19/128", "take 1, 2, 4"),
        ("random:vgg19/99999999999", "random:vgg19/K"),
    ] {
        let error = parsed(spec).unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        assert!(error.to_string().contains(part), "{spec}: {error}");
    }
}

//! Well-formed safetensors files that are no usable network.

use impasto::nets::{Layer, Network, Preprocess};
use safetensors::Dtype;

use crate::build::{File, assert_refused};

#[test]
fn missing_tensors_are_named() {
    let file = File::small();
    assert_refused(file.clone().without("conv1_2.bias").load(), &["`conv1_2.bias` is missing"]);
    assert_refused(file.without("conv2_1.weight").load(), &["`conv2_1.weight` is missing"]);
}

#[test]
fn gaps_in_the_numbers_are_named() {
    let gap = |stem: &str, blocks: &[&[usize]], parts: &[&str]| {
        let file = File::vgg(blocks);
        let file = file.without(&format!("{stem}.weight")).without(&format!("{stem}.bias"));
        assert_refused(file.load(), parts);
    };
    let blocks: &[&[usize]] = &[&[4, 4], &[4], &[4, 4, 4]];
    gap("conv3_2", blocks, &["`conv3_3`", "`conv3_2.weight` before it is missing"]);
    gap("conv2_1", blocks, &["`conv3_1`", "`conv2_1.weight` before it is missing"]);
    gap("conv3_1", blocks, &["`conv3_2`", "`conv3_1.weight` before it is missing"]);
    gap("conv1_1", blocks, &["`conv1_2`", "`conv1_1.weight` before it is missing"]);
    let file = File::default().conv("conv2_1", [4, 3, 3, 3]);
    assert_refused(file.load(), &["`conv1_1.weight` before it is missing"]);
}

#[test]
fn gaps_in_torchvision_indices_are_named() {
    let file = |indices: &[u32]| {
        let stem = |n: &u32| format!("features.{n}");
        let conv = |file: File, n: &u32| file.conv(&stem(n), [3, 3, 3, 3]);
        indices.iter().fold(File::default(), conv).load()
    };
    assert_refused(file(&[2, 5]), &["`features.2` is the first", "`features.0.weight` must"]);
    assert_refused(file(&[0, 4]), &["between `features.0` and `features.4`"]);
    assert_refused(file(&[0, u32::MAX]), &["`features.4294967295`"]);
    assert_refused(file(&[0, 3, 7]), &["between `features.3` and `features.7`", "batch-norm"]);
    assert_refused(file(&[0, 1]), &["batch norm", "not vgg19_bn"]);
}

#[test]
fn batch_norm_is_refused_as_such() {
    let file = File::default().conv("features.0", [4, 3, 3, 3]);
    let norm = file.clone().f32("features.1.weight", &[4]).f32("features.1.bias", &[4]);
    assert_refused(norm.load(), &["`features.1.weight`", "batch norm", "take the plain one"]);
    let mean = file.f32("features.1.running_mean", &[4]);
    assert_refused(mean.load(), &["`features.1.running_mean`", "batch norm"]);
}

#[test]
fn unknown_tensors_are_refused() {
    let file = File::small().f32("style.weight", &[1]);
    assert_refused(file.clone().load(), &["`style.weight` is unknown;", "conv1_1.weight"]);
    let file = file.f32("conv01_1.weight", &[1]).f32("conv0_1.bias", &[1]);
    assert_refused(file.load(), &["`conv01_1.weight` is unknown, and 2 more are", "known are"]);
    for name in ["conv1_1", "conv1_1.gain", "conv1_0.bias", "features.00.bias", "weight", ""] {
        let file = File::small().f32(name, &[1]);
        assert_refused(file.load(), &["is unknown", &format!("`{name}`")]);
    }
    let mixed = File::small().conv("features.0", [4, 3, 3, 3]);
    assert_refused(mixed.load(), &["mixes names"]);
    let nothing = File::default().f32("classifier.0.weight", &[1]);
    assert_refused(nothing.load(), &["no convolution"]);
    assert_refused(File::default().load(), &["no convolution"]);
    let adain = File::default().conv("0", [3, 3, 1, 1]).conv("2", [4, 3, 3, 3]);
    assert_refused(adain.load(), &["no convolution", "`0.bias`", "conv1_1.weight"]);
}

#[test]
fn shapes_that_do_not_fit_are_shown() {
    let file = File::small();
    let with = |stem: &str, shape| file.clone().conv(stem, shape).load();
    assert_refused(
        with("conv1_2", [4, 5, 3, 3]),
        &["`conv1_2.weight`", "[4, 5, 3, 3]", "takes 5 channels, but `conv1_1` gives 4"],
    );
    assert_refused(
        with("conv1_1", [4, 1, 3, 3]),
        &["`conv1_1.weight`", "takes 1 channels, but the picture gives 3"],
    );
    assert_refused(with("conv1_2", [4, 4, 5, 5]), &["[4, 4, 5, 5]", "must be 3×3"]);
    assert_refused(with("conv1_2", [4, 4, 3, 1]), &["[4, 4, 3, 1]", "square"]);
    assert_refused(with("conv2_1", [0, 4, 3, 3]), &["[0, 4, 3, 3]", "from 1 to 4096"]);
    assert_refused(with("conv2_1", [4, 4, 0, 0]), &["[4, 4, 0, 0]", "from 1 to 4096"]);
    assert_refused(with("conv2_1", [5000, 4, 3, 3]), &["[5000, 4, 3, 3]", "from 1 to 4096"]);
    let flat = file.clone().f32("conv1_2.weight", &[144]);
    assert_refused(flat.load(), &["`conv1_2.weight`", "[144]", "[out, in, height, width]"]);
    for bias in [&[5][..], &[4, 1], &[]] {
        let file = file.clone().f32("conv1_2.bias", bias);
        let shape = format!("{bias:?}");
        assert_refused(file.load(), &["`conv1_2.bias`", &shape, "[4, 4, 3, 3]", "[4]"]);
    }
    let chain = File::torchvision(&[&[4], &[4]]).conv("features.3", [4, 9, 3, 3]);
    assert_refused(chain.load(), &["`features.3.weight`", "`features.0` gives 4"]);
}

#[test]
fn colour_and_side_maps_must_fit() {
    let with = |stem: &str, shape| File::small().conv(stem, shape).load();
    assert_refused(with("colour", [3, 3, 3, 3]), &["`colour.weight`", "1×1"]);
    assert_refused(with("colour", [3, 4, 1, 1]), &["`colour.weight`", "takes 4 channels"]);
    assert_refused(with("colour", [4, 3, 1, 1]), &["`colour.weight`", "[3, 3, 1, 1]"]);
    assert_refused(
        with("side.relu2_1", [8, 4, 1, 1]),
        &["`side.relu2_1.weight`", "takes 4 channels, but `relu2_1` gives 6"],
    );
    assert_refused(with("side.relu2_1", [8, 6, 3, 3]), &["`side.relu2_1.weight`", "1×1"]);
    assert_refused(
        with("side.relu9_1", [8, 6, 1, 1]),
        &["`side.relu9_1`", "no tap `relu9_1`", "relu1_1, relu1_2, relu2_1"],
    );
    let half = File::small().f32("side.relu1_1.weight", &[8, 4, 1, 1]);
    assert_refused(half.load(), &["`side.relu1_1.bias` is missing"]);
}

#[test]
fn values_must_be_finite_numbers() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let file = File::small().element("conv1_2.weight", 17, value);
        assert_refused(file.load(), &["`conv1_2.weight`", &format!("{value} at element 17")]);
        let file = File::small().element("conv1_2.bias", 3, value);
        assert_refused(file.load(), &["`conv1_2.bias`", "at element 3"]);
    }
    for (dtype, bytes) in [(Dtype::F64, 32), (Dtype::I8, 4), (Dtype::F8_E4M3, 4)] {
        let file = File::small().raw("conv1_2.bias", dtype, &[4], vec![0; bytes]);
        assert_refused(file.load(), &["`conv1_2.bias`", &format!("{dtype:?}"), "F32, F16 or BF16"]);
    }
}

#[test]
fn unknown_metadata_is_refused() {
    let with = |key: &str, value: &str| File::small().meta(key, value).load();
    assert_refused(with("impasto.pooling", "max"), &["`impasto.pooling` is unknown", "newer"]);
    assert_refused(with("impasto.pool", "min"), &["`impasto.pool`", "`min`", "`avg`"]);
    assert_refused(with("impasto.side", "none"), &["`impasto.side`", "`none`", "`linear`"]);
    assert_refused(with("impasto.padding", "same"), &["`impasto.padding`", "`same`", "`reflect`"]);
    assert_refused(with("impasto.preprocess", "keras"), &["`impasto.preprocess`", "`keras`"]);
    for (explicit, part) in [
        (r#"{"order":"bgr","scale":[1,1,1]}"#, "missing field `offset`"),
        (r#"{"order":"bgr","scale":[1,1],"offset":[0,0,0]}"#, "explicit"),
        (r#"{"order":"bgr","scale":[1,1,1],"offset":[0,0,0],"x":1}"#, "unknown field `x`"),
        (r#"{"order":"bgx","scale":[1,1,1],"offset":[0,0,0]}"#, "`bgx`"),
        (r#"{"order":"bg","scale":[1,1,1],"offset":[0,0,0]}"#, "`bg`"),
        (r#"{"order":"bgb","scale":[1,1,1],"offset":[0,0,0]}"#, "once"),
        (r#"{"order":"rgb","scale":[1,0,1],"offset":[0,0,0]}"#, "not zero"),
        (r#"{"order":"rgb","scale":[1,1,1],"offset":[0,1e99,0]}"#, "finite"),
        ("{", "explicit"),
    ] {
        assert_refused(with("impasto.preprocess", explicit), &["`impasto.preprocess`", part]);
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let good = File::small().conv("side.relu1_2", [9, 4, 1, 1]).load().unwrap();
    let refused = |change: &dyn Fn(&mut Network), parts: &[&str]| {
        let mut network = good.clone();
        change(&mut network);
        assert_refused(network.to_safetensors(), parts);
    };
    let pool = || Layer::Pool { name: "pool2".to_owned() };
    refused(&|n| n.layers.clear(), &["must have layers"]);
    refused(&|n| n.layers.push(pool()), &["end with a convolution"]);
    refused(&|n| n.layers.insert(0, pool()), &["`pool2` stands where `conv1_1` must"]);
    refused(&|n| n.layers.swap(0, 1), &["`conv1_2` stands where `conv1_1` must"]);
    refused(&|n| drop(n.layers.remove(2)), &["`conv2_1` stands where `conv1_3` must"]);
    refused(&|n| drop(n.layers.pop()), &["end with a convolution"]);
    refused(&|n| n.layers.truncate(1), &["no tap `relu1_2`"]);
    refused(&|n| n.colour = n.sides.get("relu1_2").cloned(), &["`colour.weight`"]);
    refused(&|n| n.preprocess.order = [0, 0, 7], &["once"]);
    refused(&|n| n.preprocess = Preprocess { scale: [f32::NAN; 3], ..n.preprocess }, &["finite"]);
    let conv = |n: &mut Network, change: &dyn Fn(&mut impasto::nets::Conv)| {
        if let Layer::Conv { conv, .. } = &mut n.layers[0] {
            change(conv);
        }
    };
    refused(&|n| conv(n, &|c| c.weight.truncate(5)), &["`conv1_1.weight` has 5 values"]);
    refused(&|n| conv(n, &|c| c.bias.clear()), &["`conv1_1.bias` has 0 values"]);
    refused(&|n| conv(n, &|c| c.kernel = usize::MAX), &["from 1 to 4096"]);
}

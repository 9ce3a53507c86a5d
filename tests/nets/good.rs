//! Files that load, and what they become.

use half::{bf16, f16};
use impasto::nets::{Conv, Layer, Network, Padding, Pool, Preprocess, PreprocessSource, Side};
use safetensors::Dtype;

use crate::build::{File, names};

const EXPLICIT: &str = r#"{"order":"gbr","scale":[2,3,0.1],"offset":[-0.5,1e-7,0]}"#;

fn first(network: &Network) -> &Conv {
    match &network.layers[0] {
        Layer::Conv { conv, .. } => conv,
        Layer::Pool { .. } => panic!("starts with a pool"),
    }
}

#[test]
fn names_and_shapes_become_the_table() {
    let network = File::small().load().unwrap();
    assert_eq!(names(&network), "conv1_1 conv1_2 pool1 conv2_1");
    assert_eq!(network.name, "net.safetensors");
    assert_eq!(network.preprocess, Preprocess::caffe());
    assert_eq!(network.preprocess_source, PreprocessSource::Names);
    assert_eq!(network.padding, Padding::Zero);
    assert!(network.colour.is_none() && network.sides.is_empty());
    let conv = first(&network);
    assert_eq!(conv.shape(), [4, 3, 3, 3]);
    let expected: Vec<f32> = (0..108).map(|i| (i as f32 - 7.0) / 64.0).collect();
    assert_eq!(conv.weight, expected);
    assert_eq!(conv.bias, expected[..4]);
}

#[test]
fn every_vgg_loads_under_both_styles_of_names() {
    let vgg11: &[&[usize]] = &[&[4], &[5], &[6, 6], &[7, 7], &[7, 7]];
    let vgg13: &[&[usize]] = &[&[4; 2], &[5; 2], &[6; 2], &[7; 2], &[7; 2]];
    let vgg16: &[&[usize]] = &[&[4; 2], &[5; 2], &[6; 3], &[7; 3], &[7; 3]];
    let vgg19: &[&[usize]] = &[&[4; 2], &[5; 2], &[6; 4], &[7; 4], &[7; 4]];
    let one: &[&[usize]] = &[&[1]];
    for blocks in [vgg11, vgg13, vgg16, vgg19, one] {
        let caffe = File::vgg(blocks).load().unwrap();
        let mut torchvision = File::torchvision(blocks).load().unwrap();
        assert_eq!(torchvision.preprocess, Preprocess::torchvision());
        assert_eq!(torchvision.preprocess_source, PreprocessSource::Names);
        torchvision.preprocess = Preprocess::caffe();
        assert_eq!(caffe, torchvision);
        let convs: usize = blocks.iter().map(|widths| widths.len()).sum();
        assert_eq!(caffe.layers.len(), convs + blocks.len() - 1);
    }
    let vgg19 = File::torchvision(vgg19);
    assert!(vgg19.without("features.34.weight").load().is_err());
}

#[test]
fn more_than_nine_convolutions_a_block_stay_in_order() {
    let network = File::vgg(&[&[2; 11], &[3]]).load().unwrap();
    assert!(names(&network).ends_with("conv1_9 conv1_10 conv1_11 pool1 conv2_1"));
}

#[test]
fn the_classifier_is_ignored() {
    let network = File::torchvision(&[&[4, 4]])
        .f32("classifier.0.weight", &[5, 2])
        .f32("pre_logits.fc1.weight", &[2, 4, 7, 7])
        .f32("head.fc.bias", &[9])
        .f32("fc6.weight", &[1, 1])
        .raw("classifier.3.weight", Dtype::I64, &[1], vec![0; 8])
        .load()
        .unwrap();
    assert_eq!(names(&network), "conv1_1 conv1_2");
}

#[test]
fn half_precision_becomes_f32() {
    let values = [0.0, -0.0, 1.0, -2.5, 0.099_975_586, 65504.0, 6e-8];
    let shape = [1, 3, 3, 3];
    let values: Vec<f32> = values.iter().copied().cycle().take(27).collect();
    let as_f16 = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes());
    let as_bf16 = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes());
    let base = File::vgg(&[&[1]]);
    let half = base.clone().raw("conv1_1.weight", Dtype::F16, &shape, as_f16.collect());
    let brain = base.raw("conv1_1.weight", Dtype::BF16, &shape, as_bf16.collect());
    let expected = values.iter().map(|&v| f16::from_f32(v).to_f32());
    assert_eq!(first(&half.load().unwrap()).weight, expected.collect::<Vec<_>>());
    let expected = values.iter().map(|&v| bf16::from_f32(v).to_f32());
    assert_eq!(first(&brain.load().unwrap()).weight, expected.collect::<Vec<_>>());
}

#[test]
fn metadata_is_read() {
    for (value, expected) in [
        ("caffe", Preprocess::caffe()),
        ("torchvision", Preprocess::torchvision()),
        ("none", Preprocess::none()),
        (
            EXPLICIT,
            Preprocess { order: [1, 2, 0], scale: [2.0, 3.0, 0.1], offset: [-0.5, 1e-7, 0.0] },
        ),
    ] {
        let network = File::small().meta("impasto.preprocess", value).load().unwrap();
        assert_eq!(network.preprocess, expected);
        assert_eq!(network.preprocess_source, PreprocessSource::Metadata);
    }
    for padding in Padding::ALL {
        let network = File::small().meta("impasto.padding", padding.name()).load().unwrap();
        assert_eq!(network.padding, padding);
    }
    for pool in Pool::ALL {
        let network = File::small().meta("impasto.pool", pool.name()).load().unwrap();
        assert_eq!(network.pool, pool);
    }
    for side in Side::ALL {
        let network = File::small().meta("impasto.side", side.name()).load().unwrap();
        assert_eq!(network.side, side);
    }
    let foreign = File::small().meta("input", "BGR").meta("impasto", "x");
    assert!(foreign.load().is_ok(), "other programs' keys are ignored");
}

#[test]
fn the_argument_wins_over_metadata_over_names() {
    let file = File::torchvision(&[&[4]]);
    let none = Some(Preprocess::none());
    let stated = file.clone().meta("impasto.preprocess", "caffe");
    let given = Network::from_safetensors(&stated.bytes(), "n", none).unwrap();
    assert_eq!(given.preprocess, Preprocess::none());
    assert_eq!(given.preprocess_source, PreprocessSource::Given);
    assert_eq!(stated.load().unwrap().preprocess, Preprocess::caffe());
    assert_eq!(file.load().unwrap().preprocess, Preprocess::torchvision());
}

#[test]
fn preprocessing_is_the_published_one() {
    let input = |p: Preprocess, rgb: [f32; 3]| -> [f32; 3] {
        std::array::from_fn(|c| rgb[p.order[c]] * p.scale[c] + p.offset[c])
    };
    let near = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    let (red, mean) = ([1.0, 0.0, 0.0], [0.485, 0.456, 0.406]);
    assert!(near(input(Preprocess::caffe(), red), [-103.939, -116.779, 131.32]));
    assert!(near(input(Preprocess::torchvision(), mean), [0.0; 3]));
    assert!(near(
        input(Preprocess::torchvision(), [0.714, 0.0, 0.0]),
        [1.0, -2.035_714_3, -1.804_444_4]
    ));
    assert_eq!(input(Preprocess::none(), red), red);
}

#[test]
fn preprocessing_is_parsed_from_the_command_line() {
    for name in ["caffe", "torchvision", "none"] {
        let preprocess: Preprocess = name.parse().unwrap();
        assert_eq!(preprocess.to_string(), name);
    }
    let error = "Caffe".parse::<Preprocess>().unwrap_err();
    assert!(matches!(error, impasto::Error::Usage(_)));
    assert!(error.to_string().contains("choose `caffe`, `torchvision` or `none`"));
}

#[test]
fn what_is_written_loads_again() {
    let full = File::small()
        .conv("colour", [3, 3, 1, 1])
        .conv("side.relu1_2", [9, 4, 1, 1])
        .conv("side.relu2_1", [5, 6, 1, 1])
        .meta("impasto.preprocess", EXPLICIT)
        .meta("impasto.padding", "replicate")
        .meta("impasto.pool", "avg")
        .load()
        .unwrap();
    let random = Network::random(64, 1, None).unwrap();
    for network in [full, random] {
        let bytes = network.to_safetensors().unwrap();
        assert_eq!(bytes, network.to_safetensors().unwrap());
        assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());
        let mut again = Network::from_safetensors(&bytes, &network.name, None).unwrap();
        assert_eq!(again.preprocess_source, PreprocessSource::Metadata);
        again.preprocess_source = network.preprocess_source;
        assert_eq!(again, network);
    }
}

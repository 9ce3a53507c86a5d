//! Builds safetensors files tensor by tensor, with the safetensors crate's own writer.

use std::collections::{BTreeMap, HashMap};

use impasto::Error;
use impasto::nets::{Layer, Network};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A file to be.
#[derive(Clone, Default)]
pub struct File {
    metadata: HashMap<String, String>,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl File {
    /// Blocks of 3×3 convolutions of these widths, named `conv1_1`, ….
    pub fn vgg(blocks: &[&[usize]]) -> Self {
        let mut file = Self::default();
        let mut input = 3;
        for (b, widths) in blocks.iter().enumerate() {
            for (i, &width) in widths.iter().enumerate() {
                file = file.conv(&format!("conv{}_{}", b + 1, i + 1), [width, input, 3, 3]);
                input = width;
            }
        }
        file
    }

    /// The same under torchvision's names.
    pub fn torchvision(blocks: &[&[usize]]) -> Self {
        let mut file = Self::default();
        let (mut input, mut feature) = (3, 0);
        for widths in blocks {
            for &width in *widths {
                file = file.conv(&format!("features.{feature}"), [width, input, 3, 3]);
                input = width;
                feature += 2;
            }
            feature += 1;
        }
        file
    }

    /// Three convolutions in two blocks.
    pub fn small() -> Self {
        Self::vgg(&[&[4, 4], &[6]])
    }

    pub fn conv(self, stem: &str, shape: [usize; 4]) -> Self {
        self.f32(&format!("{stem}.weight"), &shape).f32(&format!("{stem}.bias"), &shape[..1])
    }

    /// A tensor of small distinct numbers.
    pub fn f32(self, name: &str, shape: &[usize]) -> Self {
        let values = (0..shape.iter().product()).map(|i: usize| (i as f32 - 7.0) / 64.0);
        let bytes = values.flat_map(f32::to_le_bytes).collect();
        self.raw(name, Dtype::F32, shape, bytes)
    }

    pub fn raw(mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        self.tensors.insert(name.to_owned(), (dtype, shape.to_vec(), bytes));
        self
    }

    /// Overwrites one element of an f32 tensor.
    pub fn element(mut self, name: &str, at: usize, value: f32) -> Self {
        let (_, _, bytes) = self.tensors.get_mut(name).unwrap();
        bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.tensors.remove(name).unwrap();
        self
    }

    pub fn meta(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let tensors = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        // The writer makes broken JSON of an empty map and no tensors.
        let metadata = self.metadata.clone().into_iter();
        let metadata = (!self.metadata.is_empty()).then(|| metadata.collect());
        safetensors::serialize(tensors, metadata).unwrap()
    }

    pub fn load(&self) -> Result<Network, Error> {
        Network::from_safetensors(&self.bytes(), "net.safetensors", None)
    }
}

/// That `result` is a refusal in the file's name whose message has all of `parts`.
#[track_caller]
pub fn assert_refused<T>(result: Result<T, Error>, parts: &[&str]) {
    let Err(error @ Error::Network { .. }) = result else {
        panic!("not refused as a network; expected {parts:?}");
    };
    let message = error.to_string();
    for part in ["net.safetensors: "].iter().chain(parts) {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// The table's names: `conv1_1 conv1_2 pool1 …`.
pub fn names(network: &Network) -> String {
    let names = network.layers.iter().map(|layer| match layer {
        Layer::Conv { name, .. } | Layer::Pool { name } => name.as_str(),
    });
    names.collect::<Vec<_>>().join(" ")
}

//! Networks. [`weights`] are named parameters, frozen or variable; `container` reads files of them; [`reach`] knows how far
//! a chain of layers looks, `octave` names layers of pictures at half their size. [`vgg`] has the feature networks that
//! losses look through.

mod container;
pub(crate) mod octave;
pub mod reach;
pub mod vgg;
pub mod weights;

pub use crate::ops::conv2d::Padding;
pub use reach::{Chain, Reach, Step};
pub use vgg::default::default_network;
pub use vgg::file;
pub use vgg::graph::{Graph, TapMap};
pub use vgg::network::{Conv, Layer, Network, Pool, Side};
pub use vgg::preprocess::{Preprocess, PreprocessSource};
pub use vgg::spec::NetworkSpec;
pub use weights::{Parameter, Parameters};

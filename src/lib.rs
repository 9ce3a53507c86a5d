//! Paints a photograph in the style of a painting (neural style transfer), on any GPU: the engine of the
//! `impasto` program, as a library.
//!
//! # The walk
//! Bytes become a [`picture::Picture`]; a [`nets::Network`] of the VGG family becomes a [`nets::Graph`], which
//! records [`ops`] on a [`tape::Tape`]; the tape with its backward pass becomes a [`gpu::Program`], a list
//! of dispatches that is replayed every step. A [`paint::Painter`] puts these together at one size: it records the loss
//! ([`loss`]) and lets an [`optim::Optimizer`] move the picture. A [`session::Session`] paints from coarse to fine.
//!
//! ```no_run
//! use impasto::gpu::{Choice, Gpu};
//! use impasto::loss::LossSettings;
//! use impasto::nets::{Graph, default_network};
//! use impasto::paint::{Start, Verdict};
//! use impasto::picture::{Format, Picture};
//! use impasto::session::{Begin, Event, Planner, Scales, Scene, Session};
//!
//! # async fn paint(photograph: &[u8], painting: &[u8]) -> impasto::Result<Vec<u8>> {
//! let content = Picture::decode(photograph, "photograph")?.fitted(512);
//! let style = Picture::decode(painting, "painting")?.fitted(512).into_space_of(&content);
//! let loss = LossSettings::default();
//! let network = default_network(None)?.truncated(&loss.taps())?;
//! let (size, styles) = (content.size(), vec![style.size()]);
//! let planner = Planner::new(&network, Scales::Auto, size, styles, loss);
//! let scene = Scene::new(content, vec![(style, 1.0)]);
//! let (gpu, graph) = (Gpu::open(&Choice::default()).await?, Graph::new(network)?);
//! let mut session = Session::new(gpu, graph, scene, planner, Begin::new(Start::Content, 60));
//! let outcome = session.run(&mut |_: Event<'_>| Verdict::Continue).await?;
//! outcome.picture.encode(Format::Png)
//! # }
//! ```
//!
//! The library takes bytes, waits for the GPU only in `async` functions, never prints and never exits.
//! The feature `cli`, on by default, is the program's alone: with `default-features = false` the library comes without
//! the program's crates.
//! `docs/ARCHITECTURE.md` has a paragraph for every module.
#![warn(missing_docs)]
pub mod bench;
pub mod demo;
pub mod error;
pub mod gpu;
pub mod loss;
pub mod measure;
pub mod nets;
pub mod ops;
pub mod optim;
pub mod paint;
pub mod picture;
pub mod plan;
pub mod random;
pub mod session;
pub mod shape;
pub mod tape;
pub mod tiles;
pub mod tune;
pub use error::{Error, Result};

use gpu::Shader;

/// Every shader of the crate: those of the operations and those beside them.
pub fn shaders() -> Vec<&'static Shader> {
    let ops = ops::CATALOGUE.iter().flat_map(|entry| entry.shaders).copied();
    let others = [
        &bench::peak::SHADER,
        &bench::peak::COOPERATIVE,
        &demo::SHADER,
        &ops::statistics::SHADER,
        &optim::adam::SHADER,
        &optim::average::SHADER,
        &optim::lbfgs::SHADER,
        &tape::loss_scale::SHADER,
        &paint::ring::SHADER,
    ];
    let mut all: Vec<&'static Shader> = ops.chain(others).collect();
    all.sort_by_key(|shader| shader.name);
    all.dedup_by_key(|shader| shader.name);
    all
}

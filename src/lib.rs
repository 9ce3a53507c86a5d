//! impasto
#![warn(missing_docs)]
pub mod demo;
pub mod error;
pub mod gpu;
pub mod nets;
pub mod ops;
pub mod optim;
pub mod picture;
pub mod tape;
pub mod tensor;
pub mod transfer;
pub use error::{Error, Result};

use gpu::Shader;

/// Every shader of the crate: those of the operations and those beside them.
pub fn shaders() -> Vec<&'static Shader> {
    let ops = ops::CATALOGUE.iter().flat_map(|entry| entry.shaders).copied();
    let others =
        [&demo::SHADER, &ops::statistics::SHADER, &optim::adam::SHADER, &transfer::ring::SHADER];
    let mut all: Vec<&'static Shader> = ops.chain(others).collect();
    all.sort_by_key(|shader| shader.name);
    all.dedup_by_key(|shader| shader.name);
    all
}

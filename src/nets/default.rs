//! The network that is used when none is named.

use super::{Network, Pool, Preprocess};
use crate::error::Result;

/// What `-v` says about it.
pub const DEFAULT_NETWORK_NOTE: &str = " (untrained: seeded random filters of a VGG-19 of quarter width; for better pictures give \
     --network a trained VGG-19)";

/// The default network: until a trained one is embedded, a VGG-19 of quarter width with random filters
/// of a fixed seed. Random filters give usable textures (Ustyuzhaninov et al., "What does it take to
/// generate natural textures?", ICLR 2017), but carry no notion of objects.
///
/// # Errors
/// None for the network as it is.
pub fn default_network(preprocess: Option<Preprocess>) -> Result<Network> {
    let mut network = Network::random(4, 1, Some("relu4_1"))?;
    network.name = "default".into();
    // Max pooling of random filters favours noise.
    network.pool = Pool::Avg;
    if let Some(preprocess) = preprocess {
        network.preprocess = preprocess;
    }
    Ok(network)
}

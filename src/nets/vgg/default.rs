//! The network that is used when none is named.

use super::network::Network;
use super::preprocess::Preprocess;
use crate::error::Result;

/// What `weights/train` made; `weights/README.md` says how.
const BYTES: &[u8] = include_bytes!("../../../weights/default.safetensors");

/// The embedded network: a narrow VGG that was trained to see as VGG-19 does, with the taps of VGG-19
/// up to `relu4_1`. It is a file like any other, so its preprocessing and all else stand in its
/// metadata; `preprocess`, where given, wins.
///
/// # Errors
/// None for the network as it is.
pub fn default_network(preprocess: Option<Preprocess>) -> Result<Network> {
    Network::from_safetensors(BYTES, "default", preprocess)
}

//! The tuner's choices between runs, in the user's cache folder. That nothing can be remembered is no reason not to
//! paint; a file that is damaged or meant for other kernels counts for nothing and is written anew.

use std::path::PathBuf;

use impasto::gpu::Gpu;
use impasto::tune;
use sha2::{Digest, Sha256};

use super::file;
use super::flags::Common;

/// What is remembered for a device.
pub fn read(device: &str) -> Option<String> {
    std::fs::read_to_string(path(device)?).ok()
}

/// Where the choices were written, if they could be.
pub fn save(device: &str, choices: &str) -> Option<PathBuf> {
    let path = path(device)?;
    std::fs::create_dir_all(path.parent()?).ok()?;
    file::write_atomic(&path, choices.as_bytes()).ok()?;
    Some(path)
}

/// Uses what is remembered for the device, unless the flags say not to.
pub fn load(common: &Common, gpu: &Gpu) {
    let text = read(&tune::device(gpu)).filter(|_| !common.no_tune);
    if let Some(text) = text
        && !tune::use_json(gpu, &text)
    {
        common.say(|| STALE.into());
    }
}

/// Why choices are measured again.
pub const STALE: &str =
    "the remembered choices of kernels are damaged or another version's: they are measured again";

/// Why choices are not remembered.
pub const NOWHERE: &str =
    "the choices can't be kept: there is no cache folder that can be written to";

/// The device's file: its name must be the same whatever compiled the program.
fn path(device: &str) -> Option<PathBuf> {
    let name: String = Sha256::digest(device).iter().take(8).map(|b| format!("{b:02x}")).collect();
    Some(dirs::cache_dir()?.join("impasto").join(format!("kernels-{name}.json")))
}

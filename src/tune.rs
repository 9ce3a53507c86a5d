//! Which variant of a convolution is fastest here: measured once for every adapter, driver and class of layers,
//! and remembered.
//!
//! A device without choices uses sound defaults for its kind. Choices do not change what is computed, only
//! how: results agree to rounding, and the same choices give the same bits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::gpu::kernel::COMMON;
use crate::gpu::{Gpu, Program, Shader, Tensor};
use crate::measure::{record, timed};
use crate::ops::Case;
pub use crate::ops::conv2d::Class;
use crate::ops::conv2d::{self, Conv2d, Direction, Variant};

/// Seconds for which a variant is replayed; the fastest replay counts.
const BUDGET: f64 = 0.1;
/// Another variant must be so much faster than the default: noise is no reason.
const GAIN: f64 = 1.05;
/// More than this two kernels for f16 can't be apart: one has its weights rounded to f16, too.
const HALF_ROUNDING: f64 = 5e-3;
/// Of a kernel that is checked: what goes wrong now and then should be seen.
const REPLAYS: usize = 4;

/// What was chosen, and for which device and kernels.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Choices {
    /// `key` of the device.
    key: String,
    /// Variants by class of layers.
    variants: BTreeMap<String, String>,
}

/// Adapter, driver and API.
pub fn device(gpu: &Gpu) -> String {
    let report = gpu.report();
    let backend = report.backend.map_or("other".into(), |b| b.to_string());
    format!("{} | {} | {backend}", report.name, report.driver)
}

/// The name of the file that keeps a device's choices.
pub fn file_name(gpu: &Gpu) -> String {
    format!("kernels-{}.json", digest([device(gpu).as_str()]))
}

/// What choices are valid for: the device, and the text of everything that a convolution may run.
fn key(gpu: &Gpu) -> String {
    format!("{} | {}", device(gpu), kernels(conv2d::ENTRY.shaders, COMMON))
}

/// The digest of shaders in the order of their names, and of what they share.
fn kernels(shaders: &[&Shader], common: &str) -> String {
    let mut shaders = shaders.to_vec();
    shaders.sort_by_key(|shader| shader.name);
    digest(shaders.iter().map(|shader| shader.source).chain([common]))
}

/// The first 16 hexadecimal digits of the SHA-256 of texts, one after the other.
fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    texts.into_iter().for_each(|text| hasher.update(text));
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The choices in use on a device, as text to be kept.
pub fn to_json(gpu: &Gpu) -> String {
    let choices = Choices { key: key(gpu), variants: gpu.choices().clone() };
    // Strings in a map: this can't fail.
    serde_json::to_string_pretty(&choices).unwrap_or_default() + "\n"
}

/// Uses what [`to_json`] gave; `false`, and nothing happens, when that is damaged or meant for another device
/// or other kernels.
pub fn use_json(gpu: &Gpu, text: &str) -> bool {
    let choices = serde_json::from_str(text).ok().filter(|c: &Choices| c.key == key(gpu));
    let Some(choices) = choices else { return false };
    gpu.choices().extend(choices.variants);
    true
}

/// The variant that was chosen for a class.
pub fn chosen(gpu: &Gpu, class: &Class) -> Option<String> {
    gpu.choice(&class.to_string())
}

/// Whether there is anything to choose: more than one variant that may be the fastest, and none chosen yet.
pub fn is_open(gpu: &Gpu, class: &Class) -> bool {
    Variant::candidates(gpu, class).len() > 1 && chosen(gpu, class).is_none()
}

/// Measures the variants for a class and chooses.
///
/// # Errors
/// Whatever the driver reports.
pub async fn tune(gpu: &Gpu, class: Class) -> Result<()> {
    gpu.choices().remove(&class.to_string());
    let (default, _) = pass(gpu, class, None)?;
    let (mut best, mut fastest) = (None, f64::INFINITY);
    for variant in Variant::candidates(gpu, &class) {
        // Drivers differ most where they are newest.
        if *variant == Variant::Cooperative && !agrees(gpu, class, *variant).await? {
            continue;
        }
        let (program, _) = pass(gpu, class, Some(*variant))?;
        let mut seconds = timed(gpu, &program, BUDGET).await?[0];
        if program.labels().eq(default.labels()) {
            seconds /= GAIN;
        }
        if seconds < fastest {
            (best, fastest) = (Some(*variant), seconds);
        }
    }
    if let Some(best) = best {
        choose(gpu, &class, best);
    }
    Ok(())
}

/// Whether a variant compiles, gives the default's results, and the same bits every time.
///
/// # Errors
/// The loss of the device.
async fn agrees(gpu: &Gpu, class: Class, variant: Variant) -> Result<bool> {
    let results = async |variant, times| -> Result<Vec<Vec<f32>>> {
        let (program, result) = pass(gpu, class, variant)?;
        let mut results = Vec::new();
        for _ in 0..times {
            program.poison();
            program.run().await?;
            results.push(gpu.read(&result).await?);
        }
        Ok(results)
    };
    let expected = results(None, 1).await?;
    match results(Some(variant), REPLAYS).await {
        Err(Error::DeviceLost(what)) => Err(Error::DeviceLost(what)),
        Err(_) => Ok(false),
        // No number is not near any.
        Ok(results) => Ok(results.iter().all(|other| *other == results[0])
            && apart(&results[0], &expected[0]) < HALF_ROUNDING),
    }
}

/// ‖a − b‖ / ‖b‖.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v) * f64::from(v);
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    (error / b.iter().map(|b| square(*b)).sum::<f64>()).sqrt()
}

/// Has a class computed with a variant from now on, where that can take it.
pub fn choose(gpu: &Gpu, class: &Class, variant: Variant) {
    gpu.choices().insert(class.to_string(), variant.name().into());
}

/// A pass of the class.
fn pass(gpu: &Gpu, class: Class, variant: Option<Variant>) -> Result<(Program, Tensor)> {
    let Class { inputs, outputs, direction, precision, size: [h, w], .. } = class;
    let transposed = direction == Direction::Input;
    // The layer's own channels: the gradient goes from its outputs to its inputs.
    let (c, o) = if transposed { (outputs, inputs) } else { (inputs, outputs) };
    let shapes = vec![[c, h, w].into(), [o, c, 3, 3].into(), [o].into()];
    let case = Case::new(Conv2d { variant, ..Conv2d::default() }, shapes, "");
    let case = case.frozen(&[1]).with(2, vec![0.0; o]);
    record(gpu, &case, precision, transposed.then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_specified() {
        // printf abc | sha256sum
        assert_eq!(digest(["a", "", "bc"]), "ba7816bf8f01cfea");
        let shader = Shader::new;
        let (first, second) = (shader("conv2d", "1"), shader("winograd", "2"));
        let all = kernels(&[&second, &first], "3");
        // printf 123 | sha256sum
        assert_eq!(all, "a665a45920422f9d");
        for changed in [shader("conv2d", "0"), shader("conv2d", "11")] {
            assert_ne!(kernels(&[&changed, &second], "3"), all);
        }
        assert_ne!(kernels(&[&first, &second], "4"), all);
    }

    #[test]
    fn what_is_no_number_is_near_nothing() {
        assert!(apart(&[1.0, 2.0], &[1.0, 2.001]) < HALF_ROUNDING);
        assert!(apart(&[1.0, 2.0], &[1.0, 2.1]) > HALF_ROUNDING);
        for broken in [f32::NAN, f32::INFINITY] {
            let near = apart(&[1.0, broken], &[1.0, 2.0]) < HALF_ROUNDING;
            assert!(!near);
        }
    }
}

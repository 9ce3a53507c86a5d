//! MingSun-Tse's pruned VGG-19 (`vgg19-pruned16x-5SE`), renamed to impasto's format.

use safetensors::SafeTensors;

/// `conv0` → `colour`, `conv31` → `conv3_1`, `conv31_aux` → `side.relu3_1`; RGB 0..1 in, reflection
/// padding.
pub fn convert_pruned(bytes: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let tensors = file.iter().map(|(name, view)| (renamed(name), view));
    let metadata = [("impasto.preprocess", "none"), ("impasto.padding", "reflect")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    safetensors::serialize(tensors, Some(metadata.into_iter().collect())).expect("the same tensors")
}

fn renamed(name: &str) -> String {
    let (stem, part) = name.rsplit_once('.').expect("a stem and a part");
    let digits = stem.strip_prefix("conv").expect("only convolutions");
    if digits == "0" {
        return format!("colour.{part}");
    }
    let (block, index) = digits.split_at(1);
    match index.strip_suffix("_aux") {
        Some(index) => format!("side.relu{block}_{index}.{part}"),
        None => format!("conv{block}_{index}.{part}"),
    }
}

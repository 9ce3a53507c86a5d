//! From tensors' names to the table's rows.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Position;
use super::preprocess::Preprocess;

/// Tensors with these prefixes belong to the classifier after the last pool, which style transfer
/// does not run: torchvision's, timm's (`head`, `pre_logits`) and Caffe's.
const IGNORED: [&str; 6] = ["classifier.", "head.", "pre_logits.", "fc6.", "fc7.", "fc8."];

/// What a batch norm stores besides weight and bias.
const BATCH_NORM: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];

/// What the names of a file say.
pub(super) struct Table {
    /// The convolutions in order, with the names of their tensors without `.weight`.
    pub(super) rows: Vec<(Position, String)>,
    /// Whether there are `colour` tensors.
    pub(super) colour: bool,
    /// The taps for which there are `side` tensors.
    pub(super) sides: BTreeSet<String>,
    /// What this style of names goes with.
    pub(super) preprocess: Preprocess,
}

/// The convolutions, as named.
#[derive(Default)]
struct Found {
    places: BTreeSet<Position>,
    features: BTreeSet<u32>,
    unknown: Vec<String>,
}

/// Sorts the tensors' names into a table; `rank` tells how many extents a tensor has.
pub(super) fn table(tensors: &BTreeMap<&str, usize>) -> Result<Table, String> {
    let mut found = Found::default();
    let mut colour = false;
    let mut sides = BTreeSet::new();
    for (&name, &rank) in tensors {
        if IGNORED.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let (stem, part) = name.rsplit_once('.').unwrap_or((name, ""));
        let feature = stem.strip_prefix("features.").and_then(number);
        if BATCH_NORM.contains(&part) || (feature.is_some() && part == "weight" && rank == 1) {
            return Err(batch_norm(&format!("tensor `{name}`")));
        }
        if !matches!(part, "weight" | "bias") {
            found.unknown.push(name.to_owned());
        } else if let Some(place) = place(stem) {
            found.places.insert(place);
        } else if let Some(feature) = feature {
            found.features.insert(feature);
        } else if stem == "colour" {
            colour = true;
        } else if let Some(tap) = stem.strip_prefix("side.") {
            sides.insert(tap.to_owned());
        } else {
            found.unknown.push(name.to_owned());
        }
    }
    let (rows, preprocess) = found.rows()?;
    Ok(Table { rows, colour, sides, preprocess })
}

impl Found {
    /// The rows in order, and the preprocessing that goes with their names.
    fn rows(self) -> Result<(Vec<(Position, String)>, Preprocess), String> {
        let caffe = !self.places.is_empty();
        let torchvision = !self.features.is_empty();
        match self.unknown.first() {
            Some(first) if caffe || torchvision => Err(format!(
                "tensor `{first}` is unknown{}; known are {KNOWN} and their biases: rename or leave \
                 out the rest",
                match self.unknown.len() {
                    1 => String::new(),
                    more => format!(", and {} more are", more - 1),
                }
            )),
            _ if caffe && torchvision => Err("it mixes names like conv1_1.weight with names like \
                 features.0.weight; rename them to one style"
                .to_owned()),
            _ if caffe => Ok((numbered(&self.places)?, Preprocess::caffe())),
            _ if torchvision => Ok((walk(&self.features)?, Preprocess::torchvision())),
            first => Err(format!(
                "there is no convolution of a VGG network in it{}; rename its tensors to {KNOWN}, \
                 or give the weights of a VGG",
                first.map_or(String::new(), |name| format!(" (but `{name}`)"))
            )),
        }
    }
}

/// How messages list the names that are read.
const KNOWN: &str =
    "conv1_1.weight, … or features.0.weight, …, colour.weight, side.relu1_1.weight, …";

/// Rows named by block and index; refuses gaps.
fn numbered(places: &BTreeSet<Position>) -> Result<Vec<(Position, String)>, String> {
    let mut last = Position { block: 1, index: 0 };
    for &place in places {
        let next = if place.block == last.block || last.index == 0 {
            last.next_in_block()
        } else {
            last.next_block()
        };
        if place != next {
            return Err(format!(
                "`{}` is there, but `{}.weight` before it is missing; layers are numbered without \
                 gaps from conv1_1, so export them all",
                place.conv(),
                next.conv()
            ));
        }
        last = place;
    }
    Ok(places.iter().map(|&place| (place, place.conv())).collect())
}

/// Rows named by their index in torchvision's `features`: a convolution and its ReLU take one index
/// each, a pool one more.
fn walk(features: &BTreeSet<u32>) -> Result<Vec<(Position, String)>, String> {
    let mut rows: Vec<(Position, String)> = Vec::with_capacity(features.len());
    let mut last: Option<(u32, Position)> = None;
    for &feature in features {
        let place = match last {
            None if feature == 0 => Position { block: 1, index: 1 },
            None => {
                return Err(format!(
                    "`features.{feature}` is the first convolution, but `features.0.weight` must \
                     be; export them all"
                ));
            }
            Some((before, place)) => match feature - before {
                2 => place.next_in_block(),
                3 => place.next_block(),
                1 => {
                    return Err(batch_norm(&format!(
                        "`features.{before}` directly followed by `features.{feature}`"
                    )));
                }
                _ => {
                    return Err(format!(
                        "no convolution between `features.{before}` and `features.{feature}`; the \
                         next must be 2 (same block) or 3 (after a pool) further: either tensors \
                         are missing, or this is no plain VGG (batch-norm variants can't be used)"
                    ));
                }
            },
        };
        rows.push((place, format!("features.{feature}")));
        last = Some((feature, place));
    }
    Ok(rows)
}

/// The refusal of VGG variants with batch norm.
fn batch_norm(evidence: &str) -> String {
    format!(
        "{evidence} shows a VGG with batch norm, which can't be used; take the plain one (vgg19, \
         not vgg19_bn)"
    )
}

/// `conv3_1` → block 3, index 1.
fn place(stem: &str) -> Option<Position> {
    let (block, index) = stem.strip_prefix("conv")?.split_once('_')?;
    let (block, index) = (number(block)?, number(index)?);
    (block > 0 && index > 0).then_some(Position { block, index })
}

/// A decimal number written the one canonical way, so that no two names mean the same layer.
fn number(digits: &str) -> Option<u32> {
    let value: u32 = digits.parse().ok()?;
    (value.to_string() == digits).then_some(value)
}

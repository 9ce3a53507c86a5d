//! What a picture may choose from: the vectors that a blend takes of its styles.

use std::collections::BTreeSet;
use std::ops::Range;

use super::grids::{SPLIT_VECTORS, VECTORS};
use super::vectors::StyleVectors;
use crate::error::Result;
use crate::gpu::{Gpu, Tensor};
use crate::ops::Vectors;
use crate::tape::Tape;

/// The vectors of all styles, by groups of layers that are searched together: one group, or one a layer.
pub(crate) struct Pool {
    pub groups: Vec<Group>,
}

/// Layers that are searched together.
pub(crate) struct Group {
    pub layers: Vec<String>,
    /// C×1×P.
    vectors: Tensor,
    /// C, over all of them.
    mean: Tensor,
    /// 1×P: the region of the picture that may choose each of them.
    labels: Tensor,
}

/// The label of a vector that no region may choose.
const NOBODYS: f32 = -2.0;

/// A style's part in a pool.
pub(super) struct Part<'a> {
    pub vectors: &'a StyleVectors,
    /// Its weight in the blend.
    pub weight: f32,
    /// The region that it paints.
    pub region: usize,
}

impl Pool {
    /// Takes of every style as many vectors, at equal distances, as its weight says.
    pub(super) fn new(gpu: &Gpu, parts: &[Part<'_>], splits: bool) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Ok(Pool { groups: Vec::new() });
        };
        let all = &first.vectors.layers;
        let mut offset = 0;
        let layers = all.iter().map(|(layer, channels)| {
            offset += channels;
            (layer.clone(), offset - channels..offset)
        });
        let layers: Vec<_> = layers.collect();
        let sets: Vec<_> = match splits {
            true => layers.into_iter().map(|(layer, range)| (vec![layer], range)).collect(),
            false => vec![(layers.into_iter().map(|(layer, _)| layer).collect(), 0..offset)],
        };
        let groups = sets.into_iter().map(|(layers, channels)| {
            let room = gpu.report().max_binding_bytes as usize / 4 / channels.len().max(1);
            let most = room.min(if splits { SPLIT_VECTORS } else { VECTORS });
            Group::new(gpu, layers, (parts, channels), most)
        });
        Ok(Pool { groups: groups.collect::<Result<_>>()? })
    }
}

/// A hash (FNV-1a) of all that a pool is made of, and of what else a search depends on, in pieces that f32 has.
pub(super) fn seal<'a>(parts: &[Part<'_>], others: impl Iterator<Item = &'a f32>) -> Vec<f32> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |number: &f32| {
        hash = (hash ^ u64::from(number.to_bits())).wrapping_mul(0x0100_0000_01b3);
    };
    for Part { vectors, weight, region } in parts {
        [*weight, *region as f32].iter().chain(&vectors.numbers).for_each(&mut add);
    }
    others.for_each(add);
    (0..4).map(|at| f32::from((hash >> (16 * at)) as u16)).collect()
}

/// How many vectors a pool of at most so many takes of each style. Regions have equal parts of it, and their styles share these
/// by their weights.
fn shares(parts: &[Part<'_>], most: usize) -> Vec<usize> {
    let regions: BTreeSet<usize> = parts.iter().map(|part| part.region).collect();
    let most = most as f64 / regions.len().max(1) as f64;
    let each = |region: usize| {
        let own = || parts.iter().filter(|part| part.region == region && part.weight > 0.0);
        let sum: f64 = own().map(|part| f64::from(part.weight)).sum();
        // Of the one that has the fewest for its weight, all.
        let all = own().map(|part| part.vectors.count as f64 / f64::from(part.weight));
        all.fold(most / sum, f64::min)
    };
    let share = |part: &Part<'_>| match part.weight > 0.0 {
        true => (each(part.region) * f64::from(part.weight)) as usize,
        false => 0,
    };
    parts.iter().map(share).collect()
}

impl Group {
    fn new(
        gpu: &Gpu,
        layers: Vec<String>,
        (parts, channels): (&[Part<'_>], Range<usize>),
        most: usize,
    ) -> Result<Self> {
        let shares = shares(parts, most);
        let mut count = shares.iter().sum::<usize>().max(1);
        if gpu.is_dry() {
            // Weights are not planned: as many as there can be.
            count = parts.iter().map(|part| part.vectors.count).sum::<usize>().clamp(1, most);
        }
        let chosen = || {
            let parts = parts.iter().zip(&shares);
            parts.flat_map(|(part, share)| part.vectors.some(*share).map(move |at| (part, at)))
        };
        let depth = channels.len();
        let (mut numbers, mut mean) = (Vec::new(), vec![0.0; depth]);
        // Where memory is only planned there are no numbers.
        if !gpu.is_dry() {
            numbers.resize(depth * count, 0.0);
            for (at, (part, vector)) in chosen().enumerate() {
                let from = &part.vectors.numbers[vector * part.vectors.channels()..];
                for (c, value) in from[channels.clone()].iter().enumerate() {
                    numbers[c * count + at] = *value;
                }
            }
            for (mean, row) in mean.iter_mut().zip(numbers.chunks(count)) {
                *mean = (row.iter().map(|v| f64::from(*v)).sum::<f64>() / count as f64) as f32;
            }
        }
        let mut labels: Vec<f32> = chosen().map(|(part, _)| part.region as f32).collect();
        labels.resize(count, NOBODYS);
        Ok(Group {
            layers,
            vectors: gpu.tensor([depth, 1, count], &numbers)?,
            mean: gpu.tensor([depth], &mean)?,
            labels: gpu.tensor([1, count], &labels)?,
        })
    }

    /// Numbers of a vector.
    pub fn channels(&self) -> usize {
        self.mean.shape().elements()
    }

    /// The vectors as a recording sees them.
    pub fn vectors(&self, tape: &mut Tape) -> Vectors {
        Vectors {
            map: tape.constant(&self.vectors),
            mean: tape.constant(&self.mean),
            labels: tape.constant(&self.labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_shares_of_the_pool() {
        let vectors = [100, 40, 10].map(|count| StyleVectors { count, ..StyleVectors::default() });
        let of = |weights: [f32; 3], most| {
            let parts = vectors.iter().zip(weights);
            let parts: Vec<_> =
                parts.map(|(vectors, weight)| Part { vectors, weight, region: 0 }).collect();
            shares(&parts, most)
        };
        assert_eq!(of([2.0, 1.0, 0.0], 1000), [80, 40, 0]);
        assert_eq!(of([2.0, 1.0, 0.0], 61), [40, 20, 0]);
        assert_eq!(of([1.0, 1.0, 1.0], 1000), [10, 10, 10]);
        assert_eq!(of([1.0, 0.0, 0.0], 1000), [100, 0, 0]);
        // Regions do not compete.
        let parts = vectors.iter().enumerate();
        let parts: Vec<_> =
            parts.map(|(region, vectors)| Part { vectors, weight: 0.3, region }).collect();
        assert_eq!(shares(&parts, 1000), [100, 40, 10]);
        assert_eq!(shares(&parts, 60), [20, 20, 10]);
    }
}

//! Which temporaries may share a buffer: those whose lifetimes do not overlap, and those that lie in different parts of it
//! and are never bound by one dispatch that writes one of them.

use std::collections::HashSet;
use std::ops::RangeInclusive;

/// A temporary: how large it is, and from which to which dispatch it is needed.
#[derive(Clone, Debug)]
pub struct Lifetime {
    /// Size in bytes.
    pub bytes: u64,
    /// Indices of the first and the last dispatch that bind it.
    pub used: RangeInclusive<usize>,
}

/// Where a temporary lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suballocation {
    /// Its buffer.
    pub slot: usize,
    /// Where it starts there, in bytes.
    pub offset: u64,
}

/// Temporaries packed into buffers.
#[derive(Clone, Debug, Default)]
pub struct Packing {
    /// For every temporary, its place; `None` when nothing uses it.
    pub places: Vec<Option<Suballocation>>,
    /// Size of every buffer in bytes.
    pub bytes: Vec<u64>,
}

/// Packs temporaries, largest first, each into the smallest or the largest buffer that has room for it during its
/// lifetime, at offsets that are multiples of `alignment`, in the order that takes the least memory of some dozen.
/// WebGPU tracks hazards per buffer: two ranges of one can't be bound by a dispatch that writes one of them, and
/// `together` has those pairs of temporaries, the smaller index first.
pub fn pack(
    lifetimes: &[Option<Lifetime>],
    together: &HashSet<(usize, usize)>,
    alignment: u64,
) -> Packing {
    let tries = (0..TRIES).map(|order| pack_in(order, lifetimes, together, alignment));
    tries.min_by_key(|layout| layout.bytes.iter().sum::<u64>()).unwrap_or_default()
}

/// Orders that are tried: temporaries of one size come in many, and which of them is placed first matters.
const TRIES: usize = 48;

fn pack_in(
    order: usize,
    lifetimes: &[Option<Lifetime>],
    together: &HashSet<(usize, usize)>,
    alignment: u64,
) -> Packing {
    let mut layout = Packing { places: vec![None; lifetimes.len()], bytes: Vec::new() };
    let mut tenants: Vec<Vec<usize>> = Vec::new();
    for (i, lifetime) in queue(order, lifetimes) {
        let clash = |j: &usize| together.contains(&(i.min(*j), i.max(*j)));
        let room = |slot: &usize| -> Option<Suballocation> {
            if tenants[*slot].iter().any(clash) {
                return None;
            }
            let others = tenants[*slot]
                .iter()
                .filter_map(|j| Some((lifetimes[*j].as_ref()?, layout.places[*j]?.offset)));
            let offset = gap(lifetime, others, alignment);
            (offset + lifetime.bytes <= layout.bytes[*slot])
                .then_some(Suballocation { slot: *slot, offset })
        };
        let mut slots: Vec<usize> = (0..tenants.len()).collect();
        slots.sort_by_key(|slot| layout.bytes[*slot]);
        if order % 2 == 1 {
            slots.reverse();
        }
        let place = slots.iter().find_map(room).unwrap_or_else(|| {
            tenants.push(Vec::new());
            layout.bytes.push(lifetime.bytes);
            Suballocation { slot: tenants.len() - 1, offset: 0 }
        });
        tenants[place.slot].push(i);
        layout.places[i] = Some(place);
    }
    layout
}

/// The temporaries in the order in which they are placed.
fn queue(order: usize, lifetimes: &[Option<Lifetime>]) -> Vec<(usize, &Lifetime)> {
    let mut queue: Vec<(usize, &Lifetime)> =
        lifetimes.iter().enumerate().filter_map(|(i, l)| Some((i, l.as_ref()?))).collect();
    // What nothing uses does not count.
    let mut counted = 0;
    let number: Vec<usize> = lifetimes
        .iter()
        .map(|lifetime| {
            counted += usize::from(lifetime.is_some());
            counted
        })
        .collect();
    let rank = |i: usize, lifetime: &Lifetime| match order / 2 {
        // Those that live longest, those that end last, and shuffled.
        0 => usize::MAX - (lifetime.used.end() - lifetime.used.start()),
        1 => usize::MAX - lifetime.used.end(),
        seed => number[i].wrapping_mul(0x9e37_79b1).wrapping_mul(2 * seed + 1) >> 7 & 0xffff,
    };
    queue.sort_by_key(|(i, l)| (std::cmp::Reverse(l.bytes), rank(*i, l), *i));
    queue
}

/// The first offset at which a temporary fits between the others of a buffer, each with its own offset.
fn gap<'l>(
    lifetime: &Lifetime,
    others: impl Iterator<Item = (&'l Lifetime, u64)>,
    alignment: u64,
) -> u64 {
    let mut taken = Vec::new();
    for (other, offset) in others {
        let apart =
            other.used.end() < lifetime.used.start() || lifetime.used.end() < other.used.start();
        if !apart {
            taken.push((offset, offset + other.bytes));
        }
    }
    taken.sort_unstable();
    let mut offset = 0;
    for (start, end) in taken {
        if offset + lifetime.bytes <= start {
            break;
        }
        offset = offset.max(end.next_multiple_of(alignment));
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNMENT: u64 = 32;

    fn life(bytes: u64, used: RangeInclusive<usize>) -> Option<Lifetime> {
        Some(Lifetime { bytes, used })
    }

    #[test]
    fn what_lives_at_once_never_overlaps() {
        let lifetimes: Vec<_> = (0..60)
            .map(|i| {
                let start = i * 7 % 23;
                let bytes = if i % 3 == 0 { 400 } else { 16 + (i as u64 * 37) % 100 };
                life(bytes, start..=start + i % 5)
            })
            .collect();
        let together: HashSet<_> = (0..59).map(|i| (i, i + 1)).collect();
        let layout = pack(&lifetimes, &together, ALIGNMENT);
        let mut ranges = 0;
        for (i, a) in lifetimes.iter().enumerate() {
            let (a, at) = (a.as_ref().unwrap(), layout.places[i].unwrap());
            assert!(layout.bytes[at.slot] >= at.offset + a.bytes);
            assert_eq!(at.offset % ALIGNMENT, 0);
            ranges += usize::from(at.offset > 0);
            for (j, b) in lifetimes.iter().enumerate().skip(i + 1) {
                let (b, there) = (b.as_ref().unwrap(), layout.places[j].unwrap());
                let same = at.slot == there.slot;
                assert!(!(same && together.contains(&(i, j))), "{i} and {j} are bound at once");
                let overlap = a.used.start() <= b.used.end() && b.used.start() <= a.used.end();
                let apart =
                    at.offset + a.bytes <= there.offset || there.offset + b.bytes <= at.offset;
                assert!(!(overlap && same) || apart, "{i} and {j} overlap");
            }
        }
        assert!(ranges > 5, "{ranges} temporaries share a buffer side by side");
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let chain: Vec<_> = (0..10).map(|i| life(64, i..=i + 1)).collect();
        let together = (0..9).map(|i| (i, i + 1)).collect();
        assert_eq!(pack(&chain, &together, ALIGNMENT).bytes, [64, 64]);
    }

    #[test]
    fn small_ones_share_what_a_large_one_leaves() {
        let lifetimes = [life(128, 0..=1), life(64, 2..=9), life(64, 3..=8), life(64, 4..=5)];
        let layout = pack(&lifetimes, &HashSet::from([(1, 2)]), ALIGNMENT);
        // The second and the third are bound at once; the fourth fits beside either.
        assert_eq!(layout.bytes, [128, 64]);
    }

    #[test]
    fn unused_temporaries_cost_nothing() {
        assert_eq!(pack(&[None, None], &HashSet::new(), ALIGNMENT).bytes, [0u64; 0]);
    }
}

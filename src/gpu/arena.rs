//! Which temporaries may share a buffer: those whose lifetimes do not overlap.

use std::ops::RangeInclusive;

/// A temporary: how large it is, and from which to which dispatch it is needed.
#[derive(Clone, Debug)]
pub struct Lifetime {
    /// Size in bytes.
    pub bytes: u64,
    /// Indices of the first and the last dispatch that bind it.
    pub used: RangeInclusive<usize>,
}

/// Temporaries packed into buffers.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// For every temporary, its buffer; `None` when nothing uses it.
    pub slot: Vec<Option<usize>>,
    /// Size of every buffer in bytes.
    pub bytes: Vec<u64>,
}

/// Packs temporaries into whole buffers, largest first, each into the smallest buffer that is free
/// during its lifetime. Buffers are not cut into ranges: WebGPU tracks hazards per buffer, so two
/// ranges of one buffer can't be read and written by the same dispatch.
pub fn pack(lifetimes: &[Option<Lifetime>]) -> Layout {
    let mut layout = Layout { slot: vec![None; lifetimes.len()], bytes: Vec::new() };
    let mut tenants: Vec<Vec<RangeInclusive<usize>>> = Vec::new();
    let mut order: Vec<(usize, &Lifetime)> =
        lifetimes.iter().enumerate().filter_map(|(i, l)| Some((i, l.as_ref()?))).collect();
    order.sort_by_key(|(i, l)| (std::cmp::Reverse(l.bytes), *l.used.start(), *i));
    for (i, lifetime) in order {
        let apart = |other: &RangeInclusive<usize>| {
            other.end() < lifetime.used.start() || lifetime.used.end() < other.start()
        };
        let free = (0..tenants.len())
            .filter(|slot| tenants[*slot].iter().all(apart))
            .min_by_key(|slot| layout.bytes[*slot]);
        let slot = free.unwrap_or_else(|| {
            tenants.push(Vec::new());
            layout.bytes.push(lifetime.bytes);
            tenants.len() - 1
        });
        tenants[slot].push(lifetime.used.clone());
        layout.slot[i] = Some(slot);
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(bytes: u64, used: RangeInclusive<usize>) -> Option<Lifetime> {
        Some(Lifetime { bytes, used })
    }

    #[test]
    fn overlapping_lifetimes_never_share() {
        let lifetimes: Vec<_> = (0..40)
            .map(|i| {
                let start = i * 7 % 23;
                life(16 + (i as u64 * 37) % 100, start..=start + i % 5)
            })
            .collect();
        let layout = pack(&lifetimes);
        for (i, a) in lifetimes.iter().enumerate() {
            let a = a.as_ref().unwrap();
            assert!(layout.bytes[layout.slot[i].unwrap()] >= a.bytes);
            for (j, b) in lifetimes.iter().enumerate().skip(i + 1) {
                let b = b.as_ref().unwrap();
                let overlap = a.used.start() <= b.used.end() && b.used.start() <= a.used.end();
                assert!(!(overlap && layout.slot[i] == layout.slot[j]), "{i} and {j} share");
            }
        }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let chain: Vec<_> = (0..10).map(|i| life(64, i..=i + 1)).collect();
        assert_eq!(pack(&chain).bytes, [64, 64]);
    }

    #[test]
    fn unused_temporaries_cost_nothing() {
        assert_eq!(pack(&[None, None]).bytes, [0u64; 0]);
    }
}

//! How sums over many elements are split among workgroups.

/// How a sum over `count` elements is split: elements of a share, and number of shares. Shares stay
/// long enough to be worth a workgroup and few enough for one workgroup to add them up.
pub(crate) fn shares(count: usize) -> (usize, usize) {
    let share = count.div_ceil(1024).max(4096).next_multiple_of(256);
    (share, count.div_ceil(share))
}

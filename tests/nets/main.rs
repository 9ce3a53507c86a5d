//! Feature networks: files good and bad, taps, sizes, random weights.

mod bad;
mod build;
mod default;
mod good;
mod hostile;
#[path = "../common/pruned.rs"]
mod pruned;
mod random;
mod shared;
mod taps;

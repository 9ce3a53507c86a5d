//! Feature networks: files good and bad, taps, sizes, random weights.

mod bad;
mod build;
#[path = "../common/mod.rs"]
mod common;
mod default;
mod good;
mod graph;
mod hostile;
#[path = "../common/pruned.rs"]
mod pruned;
mod random;
mod shared;
mod taps;

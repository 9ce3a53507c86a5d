//! Every operation of the catalogue against its f64 reference, and what is special about each.

#[path = "../common/mod.rs"]
mod common;
mod sweep;

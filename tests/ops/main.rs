//! Every operation of the catalogue against its f64 reference, and what is special about some.

#[path = "../common/mod.rs"]
mod common;
mod conv2d;
mod gram;
mod large;
mod max_pool;
mod root_trace;
mod squared_error;
mod statistics;
mod sweep;

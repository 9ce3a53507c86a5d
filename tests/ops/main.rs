//! Every operation of the catalogue against its f64 reference, and what is special about some.

#[path = "../common/mod.rs"]
mod common;
mod conv2d;
mod cosine_distance;
mod gram;
mod large;
mod max_pool;
mod nearest;
mod pyramid;
mod root_trace;
mod squared_error;
mod statistics;
mod sweep;

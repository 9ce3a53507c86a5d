//! Measuring: what an adapter can do at most, what each kernel reaches, what a whole step takes.
//!
//! Rows are plain data that is written as JSON, so that runs can be compared ([`compare`]), across versions,
//! adapters and engines. Nothing here is a claim: every number is measured, and every kernel's results are
//! checked against f64 before it is timed.

pub mod compare;
pub mod kernels;
pub mod peak;
pub mod report;
mod rows;
pub mod step;

pub use crate::ops::Entry;
pub use rows::{Direction, KernelRow, PeakRow, Report, Row, StepRow};

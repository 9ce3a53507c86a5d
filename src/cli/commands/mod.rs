//! One file a command: checked settings → the library.

pub mod bench;
pub mod demo;
pub mod devices;
pub mod stylize;
pub mod tune;

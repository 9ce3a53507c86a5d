//! The device: which one, what it can do, and how work is handed to it.
//!
//! [`adapters`](mod@adapters) chooses, [`device`](mod@device) opens and watches for errors,
//! [`kernel`](mod@kernel) turns WGSL into pipelines, [`recorder`](mod@recorder) collects dispatches and
//! [`program`](mod@program) replays them, [`arena`](mod@arena) lets buffers share memory where their lifetimes allow it.

pub mod adapters;
pub mod arena;
pub mod device;
pub mod kernel;
pub mod program;
pub mod recorder;

pub use adapters::{AdapterReport, Backend, Choice};
pub use device::{Gpu, Memory};
pub use kernel::{Kernel, KernelId, Shader};
pub use program::{Plan, Program, Timing};
pub use recorder::{Call, Pass, Recorder, Value};

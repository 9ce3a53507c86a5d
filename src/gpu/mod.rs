//! The device: which one, what it can do, and how work is handed to it.
//!
//! From the ground up: [`adapters`](mod@adapters) chooses, [`kernel`](mod@kernel) turns WGSL into pipelines,
//! [`arena`](mod@arena) lets buffers share memory where their lifetimes allow it, [`device`](mod@device) opens and watches for
//! errors, `meter` counts buffers, `memory` makes them, `tensor` holds numbers, `recording` is what was recorded, as data,
//! [`program`](mod@program) replays it, and [`recorder`](mod@recorder) collects it. Nothing else in the crate names wgpu.

pub mod adapters;
pub mod arena;
pub mod device;
pub mod kernel;
mod memory;
mod meter;
pub mod program;
pub mod recorder;
mod recording;
mod shares;
mod tensor;

pub use adapters::{AdapterReport, Backend, Choice};
pub use device::{Gpu, Submission};
pub(crate) use kernel::shader;
pub use kernel::{Kernel, KernelId, Shader};
pub(crate) use memory::Download;
pub use meter::Memory;
pub use program::{Plan, Program, Timing};
pub use recorder::{Call, Recorder};
pub use recording::{Phase, Value};
pub(crate) use shares::shares;
pub use tensor::{Frozen, Tensor};

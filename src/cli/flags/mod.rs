//! Raw arguments → checked settings.

mod checked;
mod common;
mod descent;
mod look;
mod memory;
mod outputs;
pub mod preset;
mod settings;
mod size;
mod stylize;

pub use checked::Settings;
pub use common::Common;
pub use look::Look;
pub use memory::MemoryArgs;
pub use outputs::Outputs;
pub use settings::{Flags, Record, resolve};
pub use size::Size;
pub use stylize::StylizeArgs;

//! Flags about memory: how much of it may be used, and what is done with it.

use bytesize::ByteSize;
use clap::Args;
use impasto::gpu::Gpu;

/// The share of a GPU's own memory that is used where nothing is said: the desktop needs some, too.
const SHARE_OF_GPU: f64 = 0.8;
/// The share of system memory for adapters that use it.
const SHARE_OF_SYSTEM: f64 = 0.5;
/// For GPUs whose driver does not tell.
const UNKNOWN: u64 = 4_000_000_000;

/// Arguments of every command that paints.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArgs {
    /// GPU buffers take at most so much, such as 2GB (10⁹ bytes each): larger pictures are painted in tiles [default:
    /// 80 % of the GPU's own memory, or 4GB where the driver does not tell; half of the system's where it is shared]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<u64>,
    /// Paint in tiles of at most so many pixels a side, whatever fits
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..))]
    pub tile: Option<u32>,
    /// Say what the run would need, and stop
    #[arg(long)]
    pub plan: bool,
}

fn bytes(text: &str) -> Result<u64, String> {
    // A number of bytes is what nobody means.
    let has_unit = text.parse::<f64>().is_err();
    match text.parse::<ByteSize>() {
        Ok(size) if has_unit && size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err("a size is a number with a unit, such as 500MB or 2GB".into()),
    }
}

impl MemoryArgs {
    /// Bytes of GPU buffers that may be taken.
    pub fn budget(&self, gpu: &Gpu) -> u64 {
        self.memory.unwrap_or_else(|| default_budget(gpu))
    }
}

/// Bytes of GPU buffers where nothing is said.
fn default_budget(gpu: &Gpu) -> u64 {
    let report = gpu.report();
    let share = |bytes: u64, share: f64| (bytes as f64 * share) as u64;
    match (report.kind, report.memory_bytes) {
        ("discrete" | "virtual", Some(bytes)) => share(bytes, SHARE_OF_GPU),
        ("cpu" | "integrated", _) => {
            let mut system = sysinfo::System::new();
            system.refresh_memory();
            match system.total_memory() {
                0 => UNKNOWN,
                bytes => share(bytes, SHARE_OF_SYSTEM),
            }
        }
        _ => UNKNOWN,
    }
}

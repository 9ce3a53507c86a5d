//! Flags of every command, and the device that they mean.

use clap::Args;
use impasto::gpu::{Backend, Choice, Gpu};
use impasto::shape::Precision;
use impasto::{Error, Result};

use crate::cli::output::note;
use crate::cli::software;

/// Flags of every command.
#[derive(Args, Clone)]
pub struct Common {
    /// The GPU: its index in `impasto devices`, or a part of its name
    #[arg(long, global = true, value_name = "INDEX|NAME", help_heading = "Common")]
    pub adapter: Option<String>,
    /// The graphics API: vulkan, metal, dx12 or gl
    #[arg(long, global = true, help_heading = "Common")]
    pub backend: Option<Backend>,
    /// Say more; twice, GPU time by dispatch as well
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Common")]
    pub verbose: u8,
    /// Do not measure which kernels are fastest on this GPU; use the defaults for its kind
    #[arg(long, global = true, help_heading = "Common")]
    pub no_tune: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Common")]
    pub quiet: bool,
    /// When the arguments were read.
    #[arg(skip = std::time::Instant::now())]
    pub launched: std::time::Instant,
}

impl Common {
    /// Which adapter is meant.
    pub fn choice(&self) -> Choice {
        Choice { adapter: self.adapter.clone(), backend: self.backend }
    }

    /// Opens it.
    ///
    /// # Errors
    /// When there is none like it.
    pub fn open_gpu(&self) -> Result<Gpu> {
        let gpu = pollster::block_on(Gpu::open(&self.choice()))?;
        if !self.quiet {
            software::tell(gpu.report(), self.adapter.is_some() || self.backend.is_some());
        }
        self.say(|| {
            let report = gpu.report();
            let backend = report.backend.map_or("other".into(), |b| b.to_string());
            format!("adapter: {} ({backend}, {}, {})", report.name, report.kind, report.driver)
        });
        Ok(gpu)
    }

    /// As [`Common::open_gpu`], for maps that are stored so.
    pub fn open_gpu_for(&self, precision: Precision) -> Result<Gpu> {
        let gpu = self.open_gpu()?;
        if precision == Precision::F16 && !gpu.report().f16 {
            let name = &gpu.report().name;
            return Err(Error::Gpu(format!(
                "--precision f16: {name} has no f16 in its shaders; take --precision f32, or another --adapter \
                 (`impasto devices` lists them)"
            )));
        }
        Ok(gpu)
    }

    /// Prints a line with `-v`.
    pub fn say(&self, line: impl FnOnce() -> String) {
        if self.verbose > 0 {
            note!("{}", line());
        }
    }
}

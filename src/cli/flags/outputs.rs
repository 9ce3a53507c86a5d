//! The flags of `impasto stylize` that shape no pixel.

use std::path::PathBuf;

use clap::Args;

use super::memory::MemoryArgs;

/// What is written, and where settings come from: nothing here shapes a pixel.
#[derive(Args, Clone, Debug, Default)]
pub struct Outputs {
    /// The result: .png, .jpg, .webp or .tiff; or a folder for it, which several photographs need [default:
    /// CONTENT-STYLE.png beside the content]
    #[arg(short, long, value_name = "FILE|DIR", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// The result is one of several, and `output` their folder.
    #[arg(skip)]
    pub is_folder: bool,
    /// Write the losses of every step, a JSON object a line
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    pub trace: Option<PathBuf>,
    /// Also write the picture every N steps, beside the result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "resume")]
    #[arg(help_heading = "Output")]
    pub save_every: Option<u64>,
    /// Use the settings that a result of impasto carries. Flags given here count instead. A new --style drops the
    /// masks; another --optimizer or --preset drops lr and history
    #[arg(long, value_name = "PICTURE", conflicts_with = "resume", help_heading = "Again")]
    pub settings_from: Option<PathBuf>,
    /// Go on painting a finished result of impasto, with its settings, at its full size [default: as many steps as it
    /// takes anew; --output RESULT-more.png]
    #[arg(long, value_name = "RESULT", conflicts_with_all = ["resume", "settings_from"])]
    #[arg(help_heading = "Again")]
    pub more: Option<PathBuf>,
    /// Go on from a checkpoint, with its settings
    #[arg(long, value_name = "FILE", help_heading = "Again")]
    pub resume: Option<PathBuf>,
    /// Keep a checkpoint in this file, every minute [default: OUT.checkpoint after the first minute, deleted once the
    /// result is written]
    #[arg(long, value_name = "FILE", help_heading = "Again")]
    pub checkpoint: Option<PathBuf>,
    /// Keep the checkpoint every so many steps, not every minute
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Again")]
    pub checkpoint_every: Option<u64>,
    #[command(flatten)]
    pub memory: MemoryArgs,
}

//! `impasto demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use impasto::Result;

use super::Common;

/// Arguments of `impasto demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Folder for the three pictures
    #[arg(short, long, value_name = "DIR", default_value = "impasto-demo")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(_common: &Common, _args: &DemoArgs) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

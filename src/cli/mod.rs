//! The command line: raw arguments → checked settings → the library. Only this part of the crate
//! prints, reads files and waits.

mod checkpoint;
mod commands;
mod describe;
mod file;
mod flags;
mod inputs;
mod interrupt;
mod order;
mod output;
mod pictures;
mod progress;
mod remembered;
mod several;
mod software;
mod task;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use impasto::{Error, Result};

use commands::{bench, demo, devices, stylize, tune};
use flags::{Common, preset};
use output::{note, told};

/// Paints a photograph in the style of a painting, on any GPU.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Paint a photograph in the style of one or several paintings
    Stylize(Box<flags::StylizeArgs>),
    /// List the GPUs
    Devices(devices::DevicesArgs),
    /// Render two pictures and paint one in the style of the other
    Demo(demo::DemoArgs),
    /// Measure the adapter, the kernels and whole steps
    Bench(bench::BenchArgs),
    /// Measure now which kernels are fastest on this GPU, and remember
    Tune(tune::TuneArgs),
}

/// Runs the program. Exit codes: 0 done, 2 wrong from the command line alone, 1 everything else, 130
/// and 143 interrupted.
pub fn main() -> ExitCode {
    // Mesa's device-select layer asks a display server for its favourite GPU and, where there is none,
    // prints an error that is none of ours. This is how the layer lets itself be switched off.
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: nothing else runs yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    // What a panic would print means nothing to a user, and it must not look like a result.
    std::panic::set_hook(Box::new(|panic| {
        note!("error: impasto has a bug, please report it: {panic}");
        std::process::exit(1);
    }));
    let cli = match parsed(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli.command {
        Command::Stylize(args) => stylize::run(&cli.common, &args),
        Command::Devices(args) => devices::run(&cli.common, &args),
        Command::Demo(args) => demo::run(&cli.common, &args),
        Command::Bench(args) => bench::run(&cli.common, &args),
        Command::Tune(args) => tune::run(&cli.common, &args),
    };
    done.unwrap_or_else(failed)
}

/// The arguments, those of a preset filled in; or the exit code, with everything said.
fn parsed(arguments: Vec<OsString>) -> Result<Cli, ExitCode> {
    let wrong = |usage: clap::Error| {
        let _ = usage.print();
        ExitCode::from(if usage.use_stderr() { 2 } else { 0 })
    };
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(&arguments).map_err(wrong)?;
    let arguments = preset::filled_in(&command, &matches, arguments).map_err(failed)?;
    let matches = command.try_get_matches_from(arguments).map_err(wrong)?;
    Cli::from_arg_matches(&matches).map_err(wrong)
}

fn failed(error: Error) -> ExitCode {
    note!("error: {}", told(&error));
    ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use impasto::error::Knob;

    use super::Cli;

    /// What the library calls a setting is a flag of that name.
    #[test]
    fn every_knob_is_a_flag() {
        let cli = Cli::command();
        let stylize = cli.find_subcommand("stylize").expect("a command");
        for knob in Knob::ALL {
            let mut flags = cli.get_arguments().chain(stylize.get_arguments());
            assert!(flags.any(|flag| flag.get_long() == Some(knob.name())), "{knob}");
        }
    }
}

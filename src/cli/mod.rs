//! The command line: raw arguments → checked settings → the library. Only this part of the crate
//! prints, reads files and waits.

/// Prints a line on standard error. Nobody reading it is no reason to stop: `eprintln!` would panic.
macro_rules! note {
    ($($line:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

mod bench;
mod checkpoint;
mod colour;
mod demo;
mod descent;
mod devices;
mod file;
mod inputs;
mod interrupt;
mod look;
mod memory;
mod paint;
mod plans;
mod preset;
mod progress;
mod run;
mod scene;
mod settings;
mod software;
mod stylize;
mod task;
mod tune;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use impasto::gpu::{Backend, Choice, Gpu};
use impasto::tensor::Precision;
use impasto::{Error, Result};

/// Paints a photograph in the style of a painting, on any GPU.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Args, Clone)]
pub struct Common {
    /// The GPU: its index in `impasto devices`, or a part of its name
    #[arg(long, global = true, value_name = "INDEX|NAME", help_heading = "Common")]
    adapter: Option<String>,
    /// The graphics API: vulkan, metal, dx12 or gl
    #[arg(long, global = true, help_heading = "Common")]
    backend: Option<Backend>,
    /// Say more; twice, GPU time by dispatch as well
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Common")]
    verbose: u8,
    /// Do not measure which kernels are fastest on this GPU; use the defaults for its kind
    #[arg(long, global = true, help_heading = "Common")]
    no_tune: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Common")]
    quiet: bool,
    /// When the arguments were read.
    #[arg(skip = std::time::Instant::now())]
    launched: std::time::Instant,
}

#[derive(Subcommand)]
enum Command {
    /// Paint a photograph in the style of one or several paintings
    Stylize(Box<task::StylizeArgs>),
    /// List the GPUs
    Devices(devices::DevicesArgs),
    /// Render two pictures and paint one in the style of the other
    Demo(demo::DemoArgs),
    /// Measure the adapter, the kernels and whole steps
    Bench(bench::BenchArgs),
    /// Measure now which kernels are fastest on this GPU, and remember
    Tune(tune::TuneArgs),
}

impl Common {
    fn open_gpu(&self) -> Result<Gpu> {
        let choice = Choice { adapter: self.adapter.clone(), backend: self.backend };
        let gpu = pollster::block_on(Gpu::open(&choice))?;
        software::tell(self, gpu.report());
        self.say(|| {
            let report = gpu.report();
            let backend = report.backend.map_or("other".into(), |b| b.to_string());
            format!("adapter: {} ({backend}, {}, {})", report.name, report.kind, report.driver)
        });
        Ok(gpu)
    }

    /// As [`Common::open_gpu`], for maps that are stored so.
    fn open_gpu_for(&self, precision: Precision) -> Result<Gpu> {
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
    fn say(&self, line: impl FnOnce() -> String) {
        if self.verbose > 0 {
            note!("{}", line());
        }
    }
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
    note!("error: {error}");
    ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
}

/// Prints a line on standard output.
fn say(text: &str) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}").map_err(|e| Error::File {
        path: "standard output".into(),
        what: format!("it can't be written ({e})"),
    })
}

/// Puts a suffix between a path's stem and its extension: `a/b.png` → `a/b-SUFFIX.png`.
fn beside(path: &std::path::Path, suffix: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{suffix}.{extension}"))
}

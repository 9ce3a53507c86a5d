//! What a `stylize` command comes down to, once what a picture or a checkpoint says is filled in.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use impasto::picture;
use impasto::{Error, Result};

use super::checkpoint::{Kept, Origin};
use super::inputs::Inputs;
use super::look::Look;
use super::memory::MemoryArgs;
use super::settings::{Flags, Record, resolve};
use super::{Common, file};

const USAGE: &str = "impasto stylize <CONTENT> --style <FILE[=WEIGHT]> [OPTIONS]
       impasto stylize [CONTENT] --settings-from <PICTURE> [OPTIONS]
       impasto stylize --resume <FILE> [--output <FILE>] [--trace <FILE.jsonl>]";

/// Arguments of `impasto stylize`, as they were given: those of [`Look`] shape pixels, and [`Outputs`] are the rest.
pub struct StylizeArgs {
    outputs: Outputs,
    given: ArgMatches,
}

/// What is written, and where settings come from: nothing here shapes a pixel.
#[derive(Args, Clone, Debug)]
pub struct Outputs {
    /// The result: .png, .jpg, .webp or .tiff [default: CONTENT-STYLE.png beside the content]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
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

impl Args for StylizeArgs {
    fn augment_args(command: Command) -> Command {
        let command = Look::augment_args(command).mut_args(|arg| arg.conflicts_with("resume"));
        let or_kept =
            |arg: Arg| arg.required(false).required_unless_present_any(["settings_from", "resume"]);
        let command = command.mut_arg("content", or_kept).mut_arg("style", or_kept);
        // How memory is used is kept as well: only more or less of it may be there than before.
        let kept = |arg: Arg| arg.conflicts_with("resume");
        let command = Outputs::augment_args(command).mut_arg("tile", kept).mut_arg("plan", kept);
        command.override_usage(USAGE)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StylizeArgs {
    fn from_arg_matches(given: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(StylizeArgs { outputs: Outputs::from_arg_matches(given)?, given: given.clone() })
    }

    fn update_from_arg_matches(&mut self, given: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(given)?;
        Ok(())
    }
}

/// A command with all that it means.
pub struct Task {
    pub common: Common,
    pub look: Look,
    pub flags: Flags,
    pub outputs: Outputs,
    pub inputs: Inputs,
    /// What `--resume` goes on from.
    pub kept: Option<Kept>,
}

impl StylizeArgs {
    /// Fills in what `--settings-from` or `--resume` say.
    ///
    /// # Errors
    /// When that file is missing, damaged, or says nothing.
    pub fn task(&self, common: &Common) -> Result<Task> {
        let (common, outputs) = (common.clone(), self.outputs.clone());
        if let Some(path) = &self.outputs.resume {
            return self.resumed(common, outputs, Kept::read(path)?);
        }
        let Some(path) = &self.outputs.settings_from else {
            let (look, flags) = resolve(&self.given, &Flags::default())
                .map_err(|e| Error::Usage(first_line(&e)))?;
            let inputs = Inputs::default();
            return Ok(Task { common, look, flags, outputs, inputs, kept: None });
        };
        let name = path.display().to_string();
        let Some(json) = picture::settings(&file::read(path)?, &name)? else {
            let what = "it carries no settings: name a picture that impasto has painted, with its metadata left in";
            return Err(Error::File { path: name, what: what.into() });
        };
        let record = Record::parse(&json, &name)?;
        let (look, flags) = self.resolve(&common, &record, &name)?;
        let no_tune = common.no_tune || record.no_tune;
        let inputs = Inputs::of(record, name, false);
        let common = Common { no_tune, ..common };
        Ok(Task { common, look, flags, outputs, inputs, kept: None })
    }

    fn resumed(&self, common: Common, outputs: Outputs, kept: Kept) -> Result<Task> {
        let Origin { record, adapter, backend, .. } = &kept.notes.origin;
        let (look, flags) = self.resolve(&common, record, &kept.name())?;
        let anywhere = common.adapter.is_none() && common.backend.is_none();
        let backend = backend.as_deref().and_then(|backend| backend.parse().ok());
        let common = Common {
            adapter: if anywhere { adapter.clone() } else { common.adapter.clone() },
            backend: if anywhere { backend } else { common.backend },
            no_tune: record.no_tune,
            ..common
        };
        let inputs = Inputs::of(record.clone(), kept.name(), true);
        let (outputs, kept) = return_to_folder(outputs, kept);
        Ok(Task { common, look, flags, outputs, inputs, kept: Some(kept) })
    }

    fn resolve(&self, common: &Common, record: &Record, name: &str) -> Result<(Look, Flags)> {
        if let Some(line) = record.other_program(name).filter(|_| !common.quiet) {
            note!("{line}");
        }
        resolve(&self.given, &record.settings).map_err(|e| Error::File {
            path: name.into(),
            what: format!("the settings in it can't be used ({})", first_line(&e)),
        })
    }
}

/// The paths in a checkpoint are those that were given in the folder that the run was started in, so that is where it
/// goes on. Where that folder is gone, the files may have come along to this one.
fn return_to_folder(outputs: Outputs, mut kept: Kept) -> (Outputs, Kept) {
    let origin = &kept.notes.origin;
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
    let here = std::env::current_dir().is_ok_and(|here| here == Path::new(&origin.folder));
    let mut given = outputs;
    if !here {
        let (path, named) =
            (absolute(&kept.path), [&given.output, &given.trace, &given.checkpoint]);
        let [output, trace, checkpoint] = named.map(|path| path.as_deref().map(absolute));
        if std::env::set_current_dir(&origin.folder).is_ok() {
            kept.path = path;
            given = Outputs { output, trace, checkpoint, ..given };
        }
    }
    let origin = &kept.notes.origin;
    let memory = MemoryArgs {
        memory: given.memory.memory.or(origin.memory),
        tile: origin.tile,
        ..given.memory
    };
    let outputs = Outputs {
        output: given.output.or(Some(origin.output.clone().into())),
        trace: given.trace.or(origin.trace.clone().map(Into::into)),
        save_every: origin.save_every,
        checkpoint_every: given.checkpoint_every.or(origin.every),
        memory,
        ..given
    };
    (outputs, kept)
}

/// What clap says, without its usage.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

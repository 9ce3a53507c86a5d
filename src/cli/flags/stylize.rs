//! The flags of `impasto stylize` together.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::look::Look;
use super::outputs::Outputs;

const USAGE: &str = "impasto stylize <CONTENT> --style <FILE[=WEIGHT]> [OPTIONS]
       impasto stylize [CONTENT] --settings-from <PICTURE> [OPTIONS]
       impasto stylize --more <RESULT> [--steps <STEPS>] [OPTIONS]
       impasto stylize --resume <FILE> [--output <FILE>] [--trace <FILE.jsonl>]";

/// Arguments of `impasto stylize`, as they were given: those of [`Look`] shape pixels, and [`Outputs`] are the rest.
pub struct StylizeArgs {
    pub outputs: Outputs,
    pub given: ArgMatches,
}

impl Args for StylizeArgs {
    fn augment_args(command: Command) -> Command {
        let command = Look::augment_args(command).mut_args(|arg| arg.conflicts_with("resume"));
        let or_kept = |arg: Arg| {
            arg.required(false).required_unless_present_any(["settings_from", "more", "resume"])
        };
        let command = command.mut_arg("content", or_kept).mut_arg("style", or_kept);
        // It starts from the result, at its size.
        let anew = |arg: Arg| arg.conflicts_with("more");
        let command = command.mut_arg("init", anew).mut_arg("scales", anew);
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

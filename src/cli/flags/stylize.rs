//! The flags of `impasto stylize` together.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use impasto::{Error, Result};

use super::look::Look;
use super::outputs::Outputs;

const USAGE: &str =
    "impasto stylize <CONTENT>... --style <FILE[=WEIGHT]> [--output <FILE|DIR>] [OPTIONS]
       impasto stylize [CONTENT]... --settings-from <PICTURE> [OPTIONS]
       impasto stylize --more <RESULT> [--steps <STEPS>] [OPTIONS]
       impasto stylize --resume <FILE> [--output <FILE>] [--trace <FILE.jsonl>]";

/// Arguments of `impasto stylize`, as they were given: those of [`Look`] shape pixels, and [`Outputs`] are the rest.
pub struct StylizeArgs {
    pub outputs: Outputs,
    /// The photographs, each of which becomes a picture; none where another file names it.
    pub contents: Vec<PathBuf>,
    pub given: ArgMatches,
}

impl StylizeArgs {
    /// That nothing is asked for that there is once, where there are several photographs.
    ///
    /// # Errors
    /// [`Error::Usage`] with the flag.
    pub fn check_several(&self) -> Result<()> {
        let Outputs { trace, checkpoint, more, .. } = &self.outputs;
        let once = [("--trace", trace), ("--checkpoint", checkpoint), ("--more", more)];
        match once.into_iter().find_map(|(flag, path)| Some((flag, path.as_ref()?))) {
            Some((flag, path)) => Err(Error::Usage(format!(
                "{flag} {}: it is for one photograph, and {} are given: leave it out, or paint them one by one",
                path.display(),
                self.contents.len()
            ))),
            None => Ok(()),
        }
    }
}

impl Args for StylizeArgs {
    fn augment_args(command: Command) -> Command {
        let command = Look::augment_args(command).mut_args(|arg| arg.conflicts_with("resume"));
        let or_kept = |arg: Arg| {
            arg.required(false).required_unless_present_any(["settings_from", "more", "resume"])
        };
        let several = |arg: Arg| or_kept(arg).num_args(1..).action(ArgAction::Append);
        let command = command.mut_arg("content", several).mut_arg("style", or_kept);
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
    fn from_arg_matches(given: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let contents = given.get_many::<PathBuf>("content").into_iter().flatten();
        let (outputs, contents) = (Outputs::from_arg_matches(given)?, contents.cloned().collect());
        Ok(StylizeArgs { outputs, contents, given: given.clone() })
    }

    fn update_from_arg_matches(
        &mut self,
        given: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(given)?;
        Ok(())
    }
}

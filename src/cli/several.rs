//! Several files in one call: what they become is known to clash with nothing before the first one is begun, and one that
//! fails leaves the others alone. Every command that takes several files goes this way.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use impasto::{Error, Result};

use super::file;
use super::flags::Common;
use super::output::{note, told};

/// A file that is read, and the one that it becomes.
pub struct Pair {
    pub input: PathBuf,
    pub output: PathBuf,
}

/// That the place for several results is a folder, or can become one.
///
/// # Errors
/// [`Error::Usage`] when a file has its name.
pub fn check_folder(folder: &Path) -> Result<()> {
    if folder.exists() && !folder.is_dir() {
        return Err(Error::Usage(format!(
            "-o {}: several pictures go into a folder, and this is a file: name a folder, which is made if it is missing",
            folder.display()
        )));
    }
    Ok(())
}

/// That no file becomes what another one becomes or is.
///
/// # Errors
/// [`Error::Usage`] with both.
pub fn check_names(pairs: &[Pair]) -> Result<()> {
    for (at, Pair { input, output }) in pairs.iter().enumerate() {
        let (shown, result) = (input.display(), output.display());
        // In a folder that is not there yet nothing can be looked up.
        let same = |other: &Path| other == output || file::same_file(other, output);
        if let Some(other) = pairs[..at].iter().find(|other| same(&other.output)) {
            return Err(Error::Usage(format!(
                "{} and {shown} would both become {result}: rename one of them, or paint them in two calls",
                other.input.display()
            )));
        }
        if let Some(other) = pairs.iter().find(|other| file::same_file(&other.input, output)) {
            return Err(Error::Usage(format!(
                "{result}: {shown} would become it, and {} is read: choose a folder for the results with -o",
                other.input.display()
            )));
        }
    }
    Ok(())
}

/// Does one file after the other. An error is reported, and counts in the end; an interruption ends it all.
///
/// # Errors
/// [`Error::System`] when some could not be done.
pub fn each(
    common: &Common,
    pairs: &[Pair],
    mut one: impl FnMut(&Pair) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let mut failed = 0;
    for (at, pair) in pairs.iter().enumerate() {
        if !common.quiet {
            note!("{} of {}: {}", at + 1, pairs.len(), pair.input.display());
        }
        match one(pair) {
            Ok(code) if code == ExitCode::SUCCESS => {}
            Ok(code) => {
                let left = pairs.len() - at - 1;
                if left > 0 && !common.quiet {
                    note!("interrupted: {left} of {} have not been begun", pairs.len());
                }
                return Ok(code);
            }
            Err(error) => {
                let (name, told) = (pair.input.display().to_string(), told(&error));
                let named = if told.contains(&name) { told } else { format!("{name}: {told}") };
                note!("error: {named}");
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(ExitCode::SUCCESS),
        _ => Err(Error::System(format!("{failed} of {} could not be painted", pairs.len()))),
    }
}

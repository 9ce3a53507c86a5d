//! What commands put out: lines on standard output, and names for files beside others.

use std::path::{Path, PathBuf};

use impasto::{Error, Result};

/// Prints a line on standard error. Nobody reading it is no reason to stop: `eprintln!` would panic.
macro_rules! note {
    ($($line:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}
pub(crate) use note;

/// Prints a line on standard output.
pub fn say(text: &str) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}").map_err(|e| Error::File {
        path: "standard output".into(),
        what: format!("it can't be written ({e})"),
    })
}

/// Puts a suffix between a path's stem and its extension: `a/b.png` → `a/b-SUFFIX.png`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{suffix}.{extension}"))
}

/// An error's message, with the names of flags in it.
pub fn told(error: &Error) -> String {
    error.told(|knob| format!("--{}", knob.name()))
}

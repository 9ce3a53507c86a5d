//! The files that a run reads: their hashes are kept, and compared with what they were.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use impasto::{Error, Result};
use sha2::{Digest, Sha256};

use super::file;
use super::flags::Record;
use crate::cli::output::note;

/// Reads files and remembers their hashes.
#[derive(Clone, Default)]
pub struct Inputs {
    /// What they were, and in which file that stands; `None` where nothing is known.
    known: Option<(Record, String)>,
    /// Whether a file that has changed is refused.
    strict: bool,
    /// SHA-256 by path.
    read: RefCell<BTreeMap<String, String>>,
}

impl Inputs {
    /// The files that `name` was made from. One that has changed is refused where that is `strict`, and noted
    /// elsewhere.
    pub fn of(record: Record, name: String, strict: bool) -> Self {
        Inputs { known: Some((record, name)), strict, read: RefCell::default() }
    }

    /// SHA-256 of every file that has been read, by the path that was given.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        self.read.borrow().clone()
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`Error::File`], with the way out where another file named it.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let shown = path.display().to_string();
        let bytes = file::read(path).map_err(|error| self.explain(error, &shown))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if let Some((record, name)) = &self.known
            && record.inputs.get(&shown).is_some_and(|known| *known != hash)
        {
            if self.strict {
                let what = format!(
                    "it has changed since {name} was painted from it (its SHA-256 is another): put the old file back, or \
                     start anew without --resume"
                );
                return Err(Error::File { path: shown, what });
            }
            note!(
                "{shown}: it has changed since {name} was painted, so the result will be another"
            );
        }
        self.read.borrow_mut().insert(shown, hash);
        Ok(bytes)
    }

    /// Says who wants a file that can't be read, and how to name another.
    fn explain(&self, error: Error, shown: &str) -> Error {
        let (Error::File { path, what }, Some((record, name))) = (&error, &self.known) else {
            return error;
        };
        let way_out = match (record.flag_of(shown), self.strict) {
            (None, _) => return error,
            (_, true) => "put it back to go on".to_owned(),
            (Some("content"), _) => "name another photograph before --settings-from".to_owned(),
            (Some(flag), _) => format!("name another with --{flag}"),
        };
        let what = format!("{what}; {name} was painted from it: {way_out}");
        Error::File { path: path.clone(), what }
    }
}

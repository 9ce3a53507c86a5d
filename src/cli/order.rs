//! What a painting command writes, and when.

use std::path::Path;

use impasto::picture::{Format, Metadata, Picture};
use impasto::session::TraceRow;
use impasto::{Error, Result};

use super::file;
use super::output::beside;

/// What to write, and when.
pub struct Order<'a> {
    pub output: &'a Path,
    pub format: Format,
    pub trace: Option<&'a Path>,
    /// What the result says about how it was made.
    pub settings: Option<String>,
}

impl Order<'_> {
    /// The result's bytes, with what it was made with.
    pub fn encode(&self, picture: &Picture) -> Result<Vec<u8>> {
        let metadata = Metadata { settings: self.settings.clone(), ..picture.metadata().clone() };
        picture.clone().with_metadata(metadata).encode(self.format)
    }

    /// Writes a picture in between.
    pub fn save(&self, step: u64, picture: &Picture) -> Result<()> {
        let path = beside(self.output, &format!("{step:06}"));
        file::write_atomic(&path, &picture.encode(self.format)?)
    }
}

/// A trace as it is written: an object a line.
///
/// # Errors
/// [`Error::System`] when the rows are no JSON.
pub fn json_lines(rows: &[TraceRow]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|e| Error::System(e.to_string()))?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    Ok(text)
}

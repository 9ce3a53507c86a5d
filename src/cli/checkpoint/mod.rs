//! Runs that can be gone on with: when their state is written, what stands in it, and how it is read.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use impasto::paint::{Carried, Layout, Start};
use impasto::session::{Checkpoint, Kernels, Standing, State, TraceRow};
use impasto::{Error, Result, picture};
use serde::{Deserialize, Serialize};

use super::file;
use super::flags::{Common, Outputs, Record};
use super::order::Order;
use super::order::json_lines;
use crate::cli::output::note;

const MINUTE: Duration = Duration::from_secs(60);

/// What is the same for the whole of a run: with it, `--resume` needs nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Settings, and the hashes of all files that were read.
    pub record: Record,
    /// Where the run was started: its paths are relative to that.
    pub folder: String,
    pub output: String,
    pub trace: Option<String>,
    pub save_every: Option<u64>,
    /// Steps at the last scale, which may be a default that depends on the memory at the start.
    #[serde(default)]
    pub steps: Option<u64>,
    /// `--checkpoint-every`.
    pub every: Option<u64>,
    /// Whether the file was named with `--checkpoint`, and so stays.
    pub named: bool,
    pub adapter: Option<String>,
    pub backend: Option<String>,
    /// `--memory` and `--tile`.
    #[serde(default)]
    pub memory: Option<u64>,
    #[serde(default)]
    pub tile: Option<u32>,
}

/// What stands in a checkpoint beside picture, optimiser and trace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    pub origin: Origin,
    /// Counted from 0, the coarsest, and steps taken at it.
    pub scale: usize,
    pub done: u64,
    /// Adapter, driver and API.
    pub device: String,
    /// Which kernels were chosen there.
    pub choices: String,
    /// How memory is used at every scale.
    pub layouts: Vec<Layout>,
}

/// A checkpoint that was read.
pub struct Kept {
    pub path: PathBuf,
    pub notes: Notes,
    pub carried: Carried,
    /// The losses of all steps before.
    pub trace: Vec<TraceRow>,
}

impl Kept {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::File`] when there is none, or it is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = file::read(path)?;
        let checkpoint = Checkpoint::from_bytes(&bytes, &name).map_err(|error| {
            match picture::settings(&bytes, &name) {
                Ok(Some(_)) => Error::File {
                    path: name.clone(),
                    what: format!(
                        "this is a finished picture, and no checkpoint: --more {name} goes on painting it"
                    ),
                },
                _ => error,
            }
        })?;
        let foreign = |e: serde_json::Error| Error::File {
            path: name.clone(),
            what: format!(
                "this checkpoint is another version's ({e}): use the impasto that wrote it"
            ),
        };
        let notes = serde_json::from_str(&checkpoint.notes).map_err(foreign)?;
        let lines = serde_json::Deserializer::from_slice(&checkpoint.log).into_iter();
        let trace = lines.collect::<serde_json::Result<_>>().map_err(foreign)?;
        Ok(Kept { path: path.into(), notes, carried: checkpoint.carried, trace })
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Where it goes on, and the losses so far.
    ///
    /// # Errors
    /// [`Error::File`] when the run is divided into other sizes now.
    pub fn standing(self, sizes: &[(u32, u32)]) -> Result<(Standing, Vec<TraceRow>)> {
        let (name, notes) = (self.name(), self.notes);
        let Notes { scale, done, device, choices, layouts, .. } = notes;
        let size = self.carried.picture.size();
        // A scale that has not begun starts from the picture of the one before.
        let before = scale.checked_sub(1).and_then(|before| sizes.get(before));
        if sizes.get(scale) != Some(&size) && !(done == 0 && before == Some(&size)) {
            let (w, h) = size;
            let what = format!(
                "it was painting at {w}×{h} px, and this impasto would not paint at that size: go on with the version that \
                 wrote it"
            );
            return Err(Error::File { path: name, what });
        }
        let start = Start::Carried(Box::new(self.carried));
        let kernels = Some(Kernels { device, choices });
        Ok((Standing { scale, done, start, kernels, layouts }, self.trace))
    }
}

/// Writes checkpoints when it is time.
pub struct Keeper {
    path: PathBuf,
    origin: Origin,
    /// What is painted at every scale.
    sizes: Vec<(u32, u32)>,
    due: Due,
    /// Whether the file is this run's.
    written: bool,
}

enum Due {
    /// When so many steps have been taken.
    Steps(u64),
    At(Instant),
}

impl Keeper {
    /// For a run that starts, or goes on from `kept`.
    pub fn new(
        common: &Common,
        record: Record,
        outputs: &Outputs,
        (order, steps): (&Order<'_>, u64),
        (sizes, kept): (&[(u32, u32)], Option<&Kept>),
    ) -> Self {
        let text = |path: &Path| path.display().to_string();
        let origin = Origin {
            record,
            folder: std::env::current_dir().map_or(String::new(), |folder| text(&folder)),
            output: text(order.output),
            trace: order.trace.map(text),
            save_every: outputs.save_every,
            steps: Some(steps),
            every: outputs.checkpoint_every,
            named: outputs.checkpoint.is_some() || kept.is_some_and(|k| k.notes.origin.named),
            adapter: common.adapter.clone(),
            backend: common.backend.map(|backend| backend.to_string()),
            memory: outputs.memory.memory,
            tile: outputs.memory.tile,
        };
        let path = outputs.checkpoint.clone().or_else(|| kept.map(|kept| kept.path.clone()));
        let path = path.unwrap_or_else(|| beside(order.output));
        let written = kept.is_some_and(|kept| kept.path == path);
        if !written && !common.quiet && path.exists() {
            let path = path.display();
            note!(
                "{path}: an earlier run was kept here; --resume goes on with it, this run begins anew and will replace it"
            );
        }
        let due = Due::after(&origin, kept.map_or(0, |kept| kept.carried.state.steps));
        Keeper { path, origin, sizes: sizes.to_vec(), due, written }
    }

    /// Whether it is time, after so many steps.
    pub fn is_due(&self, steps: u64) -> bool {
        match self.due {
            Due::Steps(due) => steps >= due,
            Due::At(due) => Instant::now() >= due,
        }
    }

    /// Steps that may be taken in one go, after so many.
    pub fn go(&self, steps: u64) -> u64 {
        match self.due {
            Due::Steps(due) => due.saturating_sub(steps).max(1),
            Due::At(_) => u64::MAX,
        }
    }

    /// Writes where a run stands. A file that nobody asked for and that can't be written is no reason to stop:
    /// whether it was.
    ///
    /// # Errors
    /// When a file that was asked for can't be written: the one before stays as it was.
    pub fn keep(&mut self, state: State<'_>) -> Result<bool> {
        let State { scale, done, carried, layouts, kernels, trace } = state;
        let steps = carried.state.steps;
        let Kernels { device, choices } = kernels;
        let origin = self.origin.clone();
        let layouts = layouts.to_vec();
        let notes = Notes { origin, scale, done, device, choices, layouts };
        let notes = serde_json::to_string(&notes).map_err(|e| Error::System(e.to_string()))?;
        let checkpoint = Checkpoint { carried, notes, log: json_lines(trace)? };
        let written = file::write_atomic(&self.path, &checkpoint.to_bytes()?);
        self.due = Due::after(&self.origin, steps);
        self.written |= written.is_ok();
        match written {
            Err(error) if self.origin.named || self.origin.every.is_some() => Err(error),
            Err(error) => {
                note!("{error}; painting goes on, but can't be resumed from here");
                Ok(false)
            }
            Ok(()) => Ok(true),
        }
    }

    /// Where the run stood when it was written last.
    ///
    /// # Errors
    /// As [`Kept::read`].
    pub fn last(&self) -> Result<Standing> {
        Ok(Kept::read(&self.path)?.standing(&self.sizes)?.0)
    }

    /// The command that goes on, if there is something to go on from.
    pub fn command(&self) -> Option<String> {
        let path = self.path.display().to_string();
        let plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
        let path = if path.chars().all(plain) { path } else { format!("'{path}'") };
        self.written.then(|| format!("impasto stylize --resume {path}"))
    }

    /// The result is written: a file that nobody asked for has served.
    pub fn finish(self) {
        if self.written && !self.origin.named {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Due {
    fn after(origin: &Origin, steps: u64) -> Self {
        match origin.every {
            Some(every) => Due::Steps(steps.saturating_add(every)),
            None => Due::At(Instant::now() + MINUTE),
        }
    }
}

/// `OUT.checkpoint`.
pub fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".checkpoint");
    name.into()
}

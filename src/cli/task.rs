//! What a `stylize` command comes down to, once what a picture or a checkpoint says is filled in.

use std::path::Path;

use impasto::picture;
use impasto::{Error, Result};

use super::checkpoint::{Kept, Origin};
use super::file;
use super::flags::{Common, Flags, Look, MemoryArgs, Outputs, Record, StylizeArgs, resolve};
use super::inputs::Inputs;
use crate::cli::output::{beside, note};

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

impl Task {
    /// The same for another photograph.
    pub fn of(&self, content: &Path) -> Self {
        Task {
            common: self.common.clone(),
            look: Look { content: content.into(), ..self.look.clone() },
            flags: self.flags.clone().of(&content.display().to_string()),
            outputs: self.outputs.clone(),
            inputs: self.inputs.clone(),
            kept: None,
        }
    }
}

impl StylizeArgs {
    /// Fills in what `--settings-from`, `--more` or `--resume` say.
    ///
    /// # Errors
    /// When that file is missing, damaged, or says nothing.
    pub fn task(&self, common: &Common) -> Result<Task> {
        let (common, mut outputs) = (common.clone(), self.outputs.clone());
        if let Some(path) = &self.outputs.resume {
            return self.resumed(common, outputs, Kept::read(path)?);
        }
        let more = self.outputs.more.as_ref();
        let Some(path) = more.or(self.outputs.settings_from.as_ref()) else {
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
        let mut record = Record::parse(&json, &name)?;
        if more.is_some() {
            record.settings = record.settings.going_on(&name);
            outputs.output = outputs.output.or_else(|| Some(beside(path, "more")));
        }
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

//! `impasto stylize`: everything that can be known to be wrong is said before the GPU is opened.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use impasto::gpu::Gpu;
use impasto::loss::{Octaves, StyleLoss};
use impasto::nets::{Graph, Network};
use impasto::session::{self, Begin, Planner, Scales, Session, Standing};
use impasto::{Error, Result};
use pollster::block_on;

use crate::cli::checkpoint::Keeper;
use crate::cli::flags::{Common, Look, Record, Settings, StylizeArgs};
use crate::cli::interrupt::Interrupt;
use crate::cli::order::Order;
use crate::cli::output::{note, say};
use crate::cli::pictures::{Read, check_masks};
use crate::cli::several::{self, Pair};
use crate::cli::task::Task;
use crate::cli::{describe, file, watch};

/// Runs the command.
///
/// # Errors
/// What is wrong with arguments, files, pictures and networks, and what the GPU reports.
pub fn run(common: &Common, args: &StylizeArgs) -> Result<ExitCode> {
    match args.contents.as_slice() {
        [] | [_] => paint(args.task(common)?, &mut Easel::default()),
        contents => {
            args.check_several()?;
            paint_all(args.task(common)?, contents)
        }
    }
}

/// What one painting leaves for the next.
#[derive(Default)]
struct Easel {
    /// There is a next one.
    several: bool,
    session: Option<Session>,
    interrupt: Option<Interrupt>,
}

impl Easel {
    /// The device.
    fn gpu(&self, common: &Common, args: &Look) -> Result<Gpu> {
        match &self.session {
            Some(session) => Ok(session.gpu().clone()),
            None => common.open_gpu_for(args.precision),
        }
    }

    /// The network, ready to be recorded.
    fn graph(&self, network: Network, args: &Look) -> Result<Arc<Graph>> {
        if let Some(session) = &self.session {
            return Ok(session.graph().clone());
        }
        let padding = args.first_padding.unwrap_or(network.padding);
        let graph = Graph::new(network)?.with_first_padding(padding);
        Ok(Arc::new(graph.with_precision(args.precision).with_wrap(args.seamless)))
    }
}

/// Paints one photograph after the other.
fn paint_all(mut task: Task, contents: &[PathBuf]) -> Result<ExitCode> {
    let folder = task.outputs.output.clone();
    folder.iter().try_for_each(|folder| several::check_folder(folder))?;
    task.outputs.is_folder = true;
    let pair = |content: &PathBuf| {
        let Task { look, outputs, .. } = task.of(content);
        let output = Settings::check(&look, &outputs)?.output;
        Ok(Pair { input: content.clone(), output })
    };
    let pairs = contents.iter().map(pair).collect::<Result<Vec<_>>>()?;
    several::check_names(&pairs)?;
    // What all of them need is no reason to begin with any.
    let settings = Settings::check(&task.look, &task.outputs)?;
    settings.companions(&task.look).try_for_each(|path| file::read(path).map(drop))?;
    // A plan leaves no trace.
    if let Some(folder) = folder.filter(|_| !task.outputs.memory.plan) {
        file::make_folder(&folder)?;
    }
    let mut easel = Easel { several: true, ..Easel::default() };
    several::each(&task.common, &pairs, |pair| paint(task.of(&pair.input), &mut easel))
}

/// Paints one photograph.
fn paint(task: Task, easel: &mut Easel) -> Result<ExitCode> {
    let Task { common, look: args, flags, outputs, inputs, kept } = task;
    let settings = Settings::check(&args, &outputs)?;
    if !(outputs.is_folder && outputs.memory.plan) {
        settings.check_outputs(&args, &outputs)?;
    }
    let (network, read) = Read::all(&args, &settings, &inputs)?;
    // The initial picture alone is wanted at its full size.
    let steps = if args.strength == 0.0 { Some(0) } else { args.steps };
    let scales = if steps == Some(0) { Scales::Count(1) } else { args.scales };
    let mut planner = read.planner(&network, scales, &settings, &outputs, args.margins());
    if steps == Some(0) {
        // What is compared is nothing to the initial picture.
        planner.loss.style_loss = StyleLoss::Gram;
    }
    planner = planner.splitting();
    let described = describe::network(&network, planner.last());
    let graph = easel.graph(network, &args)?;
    check_octaves(args.octaves, &graph, &planner)?;
    check_masks(&args, &graph, &read, &planner)?;
    if let Some((width, height)) = read.rounded_from(&args).filter(|_| !common.quiet) {
        let ((w, h), seamless) = (read.content.size, args.seamless);
        note!(
            "--seamless {seamless}: {width}×{height} px become {w}×{h}, which the network halves without a rest"
        );
    }
    if args.strength == 0.0 && !common.quiet {
        note!("--strength 0: nothing is painted, the result is the resized photograph");
    }
    let gpu = easel.gpu(&common, &args)?;
    common.say(|| described);
    if let Some(preset) = args.preset()? {
        common.say(|| format!("preset {}: {}", preset.name, preset.about));
    }
    planner.budget = outputs.memory.budget(&gpu);
    if outputs.memory.plan {
        return print_plans(&common, &gpu, &graph, (&planner, args.margins()));
    }
    // Before any pixel is resampled: what can't fit is said at once. A run that goes on uses memory as before.
    let last = planner.sizes.len() - 1;
    let layout = match kept.as_ref().filter(|kept| kept.notes.layouts.len() == last + 1) {
        Some(kept) => kept.notes.layouts[last],
        None => planner.at(&gpu, &graph, last, planner.budget)?.layout,
    };
    // A run that goes on takes as many as it began with, whatever became of its memory since.
    let begun = kept.as_ref().and_then(|kept| kept.notes.origin.steps);
    let steps = steps.or(begun).unwrap_or_else(|| planner.default_steps(&layout));
    let (scene, start) = read.scene(&args, settings.finish);
    let record = Record::new(common.no_tune, flags, inputs.hashes());
    let order = Order {
        output: &settings.output,
        format: settings.format,
        trace: outputs.trace.as_deref(),
        settings: Some(record.to_json()),
    };
    let sizes = planner.sizes.as_slice();
    let keeper = Keeper::new(&common, record, &outputs, (&order, steps), (sizes, kept.as_ref()));
    let (standing, trace) = match kept {
        Some(kept) => kept.standing(sizes)?,
        None => (Standing::first(start), Vec::new()),
    };
    let (tunes, choice) = (!common.no_tune, common.choice());
    let (save_every, keeps_styles) = (outputs.save_every, easel.several);
    let begin = Begin { standing, trace, steps, save_every, tunes, choice, keeps_styles };
    let session = match easel.session.take() {
        Some(before) => before.another(scene, planner, begin),
        None => Session::new(gpu, graph, scene, planner, begin),
    };
    let session = easel.session.insert(session);
    let interrupt = match &mut easel.interrupt {
        Some(interrupt) => interrupt,
        none => none.insert(Interrupt::listen()?),
    };
    watch::run(&common, &order, session, interrupt, Some(keeper))
}

/// That there are as many octaves as were asked for, at the size that was asked for.
fn check_octaves(octaves: Octaves, graph: &Graph, planner: &Planner) -> Result<()> {
    let seen = planner.loss_at(graph, planner.sizes.len() - 1).octaves();
    match octaves {
        Octaves::Count(count) if planner.loss.octaves() > seen => {
            let (width, height) = planner.last();
            Err(Error::Usage(format!(
                "--octaves {count}: at {width}×{height} px there are {seen} that the network can see, in the paintings and \
                 under the masks, too: give {seen} or less, auto, or a larger --size or --style-size"
            )))
        }
        _ => Ok(()),
    }
}

/// What `--plan` says, on standard output.
fn print_plans(
    common: &Common,
    gpu: &Gpu,
    graph: &Graph,
    (planner, margins): (&Planner, (u32, u32)),
) -> Result<ExitCode> {
    let plans = block_on(session::plans(
        gpu,
        graph,
        planner,
        !common.no_tune,
        &mut watch::Planning(common),
    ))?;
    let painted = if margins != (0, 0) { " with the margin" } else { "" };
    for ((width, height), plan) in planner.sizes.iter().zip(plans) {
        say(&format!("{width}×{height} px{painted}: {plan}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

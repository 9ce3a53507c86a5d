//! `impasto stylize`: everything that can be known to be wrong is said before the GPU is opened.

use std::process::ExitCode;

use impasto::gpu::Gpu;
use impasto::loss::Octaves;
use impasto::nets::Graph;
use impasto::session::{self, Begin, Planner, Scales, Session, Standing};
use impasto::{Error, Result};
use pollster::block_on;

use crate::cli::checkpoint::Keeper;
use crate::cli::flags::{Common, Record, Settings, StylizeArgs};
use crate::cli::order::Order;
use crate::cli::output::{note, say};
use crate::cli::pictures::{Read, check_masks};
use crate::cli::task::Task;
use crate::cli::{describe, watch};

/// Runs the command.
///
/// # Errors
/// What is wrong with arguments, files, pictures and networks, and what the GPU reports.
pub fn run(common: &Common, args: &StylizeArgs) -> Result<ExitCode> {
    let Task { common, look: args, flags, outputs, inputs, kept } = args.task(common)?;
    let settings = Settings::check(&args, &outputs)?;
    settings.check_outputs(&args, &outputs)?;
    let (network, read) = Read::all(&args, &settings, &inputs)?;
    // The initial picture alone is wanted at its full size.
    let steps = if args.strength == 0.0 { Some(0) } else { args.steps };
    let scales = if steps == Some(0) { Scales::Count(1) } else { args.scales };
    let mut planner = read.planner(&network, scales, &settings, &outputs);
    let padding = args.first_padding.unwrap_or(network.padding);
    let described = describe::network(&network, planner.last());
    let graph = Graph::new(network)?.with_first_padding(padding).with_precision(args.precision);
    check_octaves(args.octaves, &graph, &planner)?;
    check_masks(&args, &graph, &read, &planner)?;
    if args.strength == 0.0 && !common.quiet {
        note!("--strength 0: nothing is painted, the result is the resized photograph");
    }
    let gpu = common.open_gpu_for(args.precision)?;
    common.say(|| described);
    if let Some(preset) = args.preset()? {
        common.say(|| format!("preset {}: {}", preset.name, preset.about));
    }
    planner.budget = outputs.memory.budget(&gpu);
    if outputs.memory.plan {
        return print_plans(&common, &gpu, &graph, &planner);
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
    let begin = Begin { standing, trace, steps, save_every: outputs.save_every, tunes, choice };
    let session = Session::new(gpu, graph, scene, planner, begin);
    watch::run(&common, &order, session, Some(keeper))
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
fn print_plans(common: &Common, gpu: &Gpu, graph: &Graph, planner: &Planner) -> Result<ExitCode> {
    let plans = block_on(session::plans(
        gpu,
        graph,
        planner,
        !common.no_tune,
        &mut watch::Planning(common),
    ))?;
    for ((width, height), plan) in planner.sizes.iter().zip(plans) {
        say(&format!("{width}×{height} px: {plan}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

//! `impasto demo`: the main job without any file of the user's.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use impasto::loss::LossSettings;
use impasto::nets::Graph;
use impasto::paint::Start;
use impasto::picture::{Format, Picture};
use impasto::session::{Begin, Planner, Scales, Scene, Session};
use impasto::{Error, Result, demo, nets};

use crate::cli::flags::{Common, MemoryArgs};
use crate::cli::interrupt::Interrupt;
use crate::cli::order::Order;
use crate::cli::output::note;
use crate::cli::{describe, file, watch};

/// Arguments of `impasto demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Folder for the three pictures; made if it is missing
    #[arg(short, long, value_name = "DIR", default_value = "impasto-demo")]
    output: PathBuf,
}

/// Size of the pictures, and steps at the last scale: a minute on two cores with a software driver.
const SIZE: (u32, u32) = (512, 384);
const STEPS: u64 = 45;

/// Runs the command.
///
/// # Errors
/// When the folder can't be written to, and what the GPU reports.
pub fn run(common: &Common, args: &DemoArgs) -> Result<ExitCode> {
    let folder = &args.output;
    file::make_folder(folder)?;
    let output = folder.join("result.png");
    file::check_writable(&output)?;
    let gpu = common.open_gpu()?;
    let render = async {
        let content = demo::content(&gpu, SIZE.0, SIZE.1).await?;
        Ok::<_, Error>((content, demo::style(&gpu, SIZE.0, SIZE.1).await?))
    };
    let (content, style) = pollster::block_on(render)?;
    write(common, &folder.join("content.png"), &content)?;
    write(common, &folder.join("style.png"), &style)?;
    let loss = LossSettings::default();
    let network = nets::default_network(None)?.truncated(&loss.taps())?;
    let planner = Planner {
        budget: MemoryArgs::default().budget(&gpu),
        ..Planner::new(&network, Scales::Auto, SIZE, vec![SIZE], loss)
    };
    let scene = Scene::new(content, vec![(style, 1.0)]);
    let order = Order { output: &output, format: Format::Png, trace: None, settings: None };
    common.say(|| describe::network(&network, SIZE));
    let (tunes, choice) = (!common.no_tune, common.choice());
    let begin = Begin { tunes, choice, ..Begin::new(Start::Content, STEPS) };
    let mut session = Session::new(gpu, Graph::new(network)?, scene, planner, begin);
    watch::run(common, &order, &mut session, &Interrupt::listen()?, None)
}

fn write(common: &Common, path: &Path, picture: &Picture) -> Result<()> {
    file::write_atomic(path, &picture.encode(Format::Png)?)?;
    if !common.quiet {
        note!("{}: {}×{} px", path.display(), picture.width(), picture.height());
    }
    Ok(())
}

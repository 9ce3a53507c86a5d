//! When checkpoints are written, and runs whose GPU is lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use impasto::gpu::Gpu;
use impasto::loss::{LossSettings, Regions};
use impasto::nets::{Graph, Network};
use impasto::paint::Descent;
use impasto::picture::{Depth, Format, Picture};

use super::*;
use crate::cli::colour::Finish;
use crate::cli::memory::MemoryArgs;
use crate::cli::paint::paint;
use crate::cli::plans::Planner;
use crate::cli::run::Run;
use crate::cli::scene::Scene;
use crate::cli::settings::Flags;

/// A run of 24 and 40 steps in a folder of its own.
struct Studio {
    folder: tempfile::TempDir,
    content: Picture,
    styles: [(Picture, f32); 1],
    graph: Graph,
    common: Common,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    outputs: Outputs,
}

fn line(flags: &str) -> Line {
    Line::parse_from(format!("impasto {flags}").split(' '))
}

/// The device that the other tests run on.
fn common() -> Common {
    let var = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    Common {
        adapter: var("IMPASTO_ADAPTER"),
        backend: var("IMPASTO_BACKEND").map(|backend| backend.parse().expect("IMPASTO_BACKEND")),
        ..line("--no-tune -q").common
    }
}

fn picture(width: u32, height: u32, seed: u32) -> Picture {
    let rgb = (0..3 * width * height).map(|i| (i * seed % 251) as f32 / 250.0).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

impl Studio {
    fn new() -> Self {
        let network = Network::random(16, 0, Some("relu4_1")).expect("a network");
        Studio {
            folder: tempfile::tempdir().expect("a folder"),
            content: picture(48, 32, 3),
            styles: [(picture(36, 44, 7), 1.0)],
            graph: Graph::new(network).expect("a graph"),
            common: common(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gpu(&self) -> Gpu {
        self.common.open_gpu().expect("a GPU")
    }

    fn keeper(&self, order: &Order<'_>, flags: &str) -> Keeper {
        let record = Record::new(true, Flags::default(), BTreeMap::new());
        Keeper::new(&self.common, record, &line(flags).outputs, order, None)
    }

    /// Paints on `gpu`; the result's bytes.
    fn paint(
        &self,
        gpu: &Gpu,
        name: &str,
        change: impl FnOnce(&mut Order<'_>, &mut Option<Keeper>),
    ) -> Vec<u8> {
        self.try_paint(gpu, name, change).expect("painted")
    }

    fn try_paint(
        &self,
        gpu: &Gpu,
        name: &str,
        change: impl FnOnce(&mut Order<'_>, &mut Option<Keeper>),
    ) -> Result<Vec<u8>> {
        let (output, trace) = (self.path(name), self.path(&format!("{name}.jsonl")));
        let mut order = Order {
            output: &output,
            format: Format::Png,
            steps: 40,
            trace: Some(&trace),
            save_every: None,
            settings: None,
        };
        let mut keeper = None;
        change(&mut order, &mut keeper);
        let planner = Planner {
            sizes: vec![(32, 24), (48, 32)],
            styles: self.styles.iter().map(|(style, _)| style.size()).collect(),
            masks: 0,
            loss: LossSettings::default(),
            descent: Descent::adam(0.05),
            memory: MemoryArgs::default(),
        };
        let scene = Scene {
            content: &self.content,
            styles: &self.styles,
            regions: Regions::default(),
            finish: Finish::Painting,
            planner,
        };
        let run = Run::new(Place::first(Start::Noise(1)), Vec::new(), keeper);
        paint(&self.common, gpu, &self.graph, &scene, &order, run)?;
        Ok(std::fs::read(output).expect("a result"))
    }

    /// A device that is lost as soon as there is a file of that name.
    fn lost_at(&self, name: &str) -> (Gpu, std::thread::JoinHandle<()>) {
        let (gpu, path) = (self.gpu(), self.path(name));
        let victim = gpu.clone();
        let thread = std::thread::spawn(move || {
            while !path.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
            victim.destroy();
        });
        (gpu, thread)
    }
}

#[test]
fn a_lost_gpu_is_opened_again_and_the_result_is_the_same() {
    let studio = Studio::new();
    let whole = studio.paint(&studio.gpu(), "whole.png", |_, _| ());

    // From the last checkpoint.
    let (gpu, thread) = studio.lost_at("kept.png.checkpoint");
    let kept = studio.paint(&gpu, "kept.png", |order, keeper| {
        *keeper = Some(studio.keeper(order, "--checkpoint-every 3"));
    });
    thread.join().expect("lost");
    assert!(matches!(gpu.check(), Err(Error::DeviceLost(_))));
    assert!(kept == whole);
    let lines = std::fs::read_to_string(studio.path("kept.png.jsonl")).expect("a trace");
    let steps = lines
        .lines()
        .map(|line| serde_json::from_str::<TraceRow>(line).expect("a row").losses.step);
    assert!(steps.eq(0..60), "rows are missing or there twice: {lines}");

    // From the beginning of the second scale, which is all that there is.
    let (gpu, thread) = studio.lost_at("between-000030.png");
    let between = studio.paint(&gpu, "between.png", |order, _| order.save_every = Some(1));
    thread.join().expect("lost");
    assert!(matches!(gpu.check(), Err(Error::DeviceLost(_))));
    assert!(between == whole);
}

#[test]
fn without_a_word_checkpoints_begin_after_a_minute_and_go_with_the_result() {
    let studio = Studio::new();
    let gpu = studio.gpu();
    let whole = studio.paint(&gpu, "whole.png", |order, keeper| {
        let keeper = keeper.insert(studio.keeper(order, "-q"));
        assert!(!keeper.is_due(u64::MAX) && keeper.command().is_none());
    });
    assert!(!studio.path("whole.png.checkpoint").exists(), "it took no minute");

    // As after a minute; the picture between shows that the file was there, and then it is not.
    let (gpu, thread) = studio.lost_at("late.png.checkpoint");
    let late = studio.paint(&gpu, "late.png", |order, keeper| {
        keeper.insert(studio.keeper(order, "-q")).due = Due::At(Instant::now());
    });
    thread.join().expect("written");
    assert!(late == whole);
    assert!(!studio.path("late.png.checkpoint").exists(), "it has served");

    // A file that was named stays.
    let named = format!("--checkpoint {} --checkpoint-every 50", studio.path("named").display());
    studio.paint(&studio.gpu(), "out.png", |order, keeper| {
        *keeper = Some(studio.keeper(order, &named))
    });
    assert!(studio.path("named").exists());
}

#[test]
fn only_a_checkpoint_that_was_asked_for_must_be_written() {
    let studio = Studio::new();
    let painted = |flags: &str| {
        // A folder in the place of the file.
        let path = studio.path("out.png.checkpoint");
        std::fs::create_dir_all(&path).expect("a folder");
        let bytes = studio.try_paint(&studio.gpu(), "out.png", |order, keeper| {
            keeper.insert(studio.keeper(order, flags)).due = Due::Steps(10);
        });
        assert!(path.is_dir());
        bytes
    };
    painted("-q").expect("painted");
    let error = painted("--checkpoint-every 10").expect_err("refused").to_string();
    assert!(error.contains("out.png.checkpoint: this is a folder"), "{error}");
}

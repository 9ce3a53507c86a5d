//! When checkpoints are written, and runs whose GPU is lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use impasto::gpu::Gpu;
use impasto::loss::LossSettings;
use impasto::nets::{Graph, Network};
use impasto::paint::Descent;
use impasto::picture::{Depth, Format, Picture};
use impasto::session::{Begin, Planner, Scene, Session};

use super::*;
use crate::cli::flags::Flags;
use crate::cli::interrupt::Interrupt;
use crate::cli::watch;

/// What a run does beside painting.
struct Extras {
    keeper: Option<Keeper>,
    save_every: Option<u64>,
}

/// A run of 24 and 40 steps in a folder of its own.
struct Studio {
    folder: tempfile::TempDir,
    content: Picture,
    styles: [(Picture, f32); 1],
    common: Common,
}

const SIZES: [(u32, u32); 2] = [(32, 24), (48, 32)];
const STEPS: u64 = 40;

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
        Studio {
            folder: tempfile::tempdir().expect("a folder"),
            content: picture(48, 32, 3),
            styles: [(picture(36, 44, 7), 1.0)],
            common: common(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gpu(&self) -> Gpu {
        self.common.open_gpu().expect("a GPU")
    }

    fn order<'a>(output: &'a Path, trace: &'a Path) -> Order<'a> {
        Order { output, format: Format::Png, trace: Some(trace), settings: None }
    }

    /// A keeper for a picture of that name.
    fn keeper(&self, name: &str, flags: &str) -> Keeper {
        let (output, trace) = self.outputs(name);
        let record = Record::new(true, Flags::default(), BTreeMap::new());
        let order = Self::order(&output, &trace);
        let outputs = line(flags).outputs;
        Keeper::new(&self.common, record, &outputs, (&order, STEPS), (&SIZES, None))
    }

    fn outputs(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(name), self.path(&format!("{name}.jsonl")))
    }

    /// Paints on `gpu`; the result's bytes.
    fn paint(&self, gpu: &Gpu, name: &str, change: impl FnOnce(&mut Extras)) -> Vec<u8> {
        self.try_paint(gpu, name, change).expect("painted")
    }

    fn try_paint(
        &self,
        gpu: &Gpu,
        name: &str,
        change: impl FnOnce(&mut Extras),
    ) -> Result<Vec<u8>> {
        let (output, trace) = self.outputs(name);
        let mut extras = Extras { keeper: None, save_every: None };
        change(&mut extras);
        let planner = Planner {
            sizes: SIZES.to_vec(),
            styles: self.styles.iter().map(|(style, _)| style.size()).collect(),
            masks: 0,
            least_share: 1.0,
            loss: LossSettings::plain(),
            descent: Descent::adam(0.05),
            budget: 1_000_000_000,
            tile: None,
        };
        let scene = Scene::new(self.content.clone(), self.styles.to_vec());
        let network = Network::random(16, 0, Some("relu4_1")).expect("a network");
        let graph = Graph::new(network).expect("a graph");
        let begin = Begin {
            save_every: extras.save_every,
            tunes: false,
            choice: self.common.choice(),
            ..Begin::new(Start::Noise(1), STEPS)
        };
        let mut session = Session::new(gpu.clone(), graph, scene, planner, begin);
        let (order, interrupt) = (Self::order(&output, &trace), Interrupt::listen()?);
        watch::run(&self.common, &order, &mut session, &interrupt, extras.keeper)?;
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
    let whole = studio.paint(&studio.gpu(), "whole.png", |_| ());

    // From the last checkpoint.
    let (gpu, thread) = studio.lost_at("kept.png.checkpoint");
    let kept = studio.paint(&gpu, "kept.png", |extras| {
        extras.keeper = Some(studio.keeper("kept.png", "--checkpoint-every 3"));
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
    let between = studio.paint(&gpu, "between.png", |extras| extras.save_every = Some(1));
    thread.join().expect("lost");
    assert!(matches!(gpu.check(), Err(Error::DeviceLost(_))));
    assert!(between == whole);
}

#[test]
fn without_a_word_checkpoints_begin_after_a_minute_and_go_with_the_result() {
    let studio = Studio::new();
    let gpu = studio.gpu();
    let whole = studio.paint(&gpu, "whole.png", |extras| {
        let keeper = extras.keeper.insert(studio.keeper("whole.png", "-q"));
        assert!(!keeper.is_due(u64::MAX) && keeper.command().is_none());
    });
    assert!(!studio.path("whole.png.checkpoint").exists(), "it took no minute");

    // As after a minute; the picture between shows that the file was there, and then it is not.
    let (gpu, thread) = studio.lost_at("late.png.checkpoint");
    let late = studio.paint(&gpu, "late.png", |extras| {
        extras.keeper.insert(studio.keeper("late.png", "-q")).due = Due::At(Instant::now());
    });
    thread.join().expect("written");
    assert!(late == whole);
    assert!(!studio.path("late.png.checkpoint").exists(), "it has served");

    // A file that was named stays.
    let named = format!("--checkpoint {} --checkpoint-every 50", studio.path("named").display());
    studio.paint(&studio.gpu(), "out.png", |extras| {
        extras.keeper = Some(studio.keeper("out.png", &named));
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
        let bytes = studio.try_paint(&studio.gpu(), "out.png", |extras| {
            extras.keeper.insert(studio.keeper("out.png", flags)).due = Due::Steps(10);
        });
        assert!(path.is_dir());
        bytes
    };
    painted("-q").expect("painted");
    let error = painted("--checkpoint-every 10").expect_err("refused").to_string();
    assert!(error.contains("out.png.checkpoint: this is a folder"), "{error}");
}

//! Pictures whose edges meet: it does not matter where they begin, and the program paints them.

mod common;
#[path = "common/program.rs"]
mod program;

use std::path::PathBuf;
use std::process::Output;

use common::{gpu, measured, relative_error};
use impasto::loss::{LossSettings, Mask, Regions, Variation};
use impasto::nets::{Graph, Network};
use impasto::paint::{Descent, Job, Layout, Painter, Start, TileLayout};
use impasto::picture::{Depth, Format, Picture, settings};
use impasto::shape::Wrap;
use impasto::tape::Tape;
use impasto::tiles::measure::{self, Styles};
use impasto::{Error, Result};

/// Three pools and three octaves: what one pixel of the coarsest map stands for.
const STRIDE: usize = 32;
const SIZE: (usize, usize) = (3 * STRIDE, 4 * STRIDE);

fn graph(wrap: Wrap) -> Graph {
    let network = Network::random(16, 5, Some("relu4_1")).expect("a random network");
    Graph::new(network).expect("a graph").with_wrap(wrap)
}

fn picture((width, height): (usize, usize), seed: usize) -> Picture {
    let value = |i: usize| ((i * seed + i / width * 13) % 251) as f32 / 251.0;
    let rgb = (0..3 * width * height).map(value).collect();
    let size = (width as u32, height as u32);
    Picture::from_planes(size, rgb, None, Depth::Eight).expect("planes fit")
}

/// Planes of SIZE that begin elsewhere.
fn rolled(planes: &[f32], (right, down): (usize, usize)) -> Vec<f32> {
    let (width, height) = SIZE;
    let from = |i: usize| {
        let (x, y) = ((i % width + right) % width, (i / width % height + down) % height);
        planes[i / width / height * width * height + y * width + x]
    };
    (0..planes.len()).map(from).collect()
}

/// The losses of a picture and the gradient of their sum; picture, content and mask begin at `by`.
fn gradient(settings: &LossSettings, wrap: Wrap, by: (usize, usize)) -> (Vec<f32>, Vec<f32>) {
    let half = picture(SIZE, 1).into_planes().0;
    let half = half.iter().enumerate().map(|(i, _)| f32::from(u8::from(i % SIZE.0 < SIZE.0 / 3)));
    let half = rolled(&half.collect::<Vec<_>>(), by);
    let size = (SIZE.0 as u32, SIZE.1 as u32);
    let mask = Picture::from_planes(size, half, None, Depth::Eight).expect("planes fit");
    let regions = Regions { content: vec![Mask::of(&mask)], style: Vec::new() };
    let run = async || -> Result<(Vec<f32>, Vec<f32>)> {
        let graph = graph(wrap);
        let tensor = |seed| {
            let planes = rolled(picture(SIZE, seed).rgb(), by);
            gpu().tensor([3, SIZE.1, SIZE.0], &planes)
        };
        let style = [(picture((70, 50), 11), 1.0)];
        let styles = Styles { pictures: &style, regions: &regions, tile: None };
        let targets = measure::targets(gpu(), &graph, settings, &tensor(7)?, &styles).await?;
        let mut tape = Tape::new(gpu());
        let x = tape.variable(&tensor(31)?);
        let losses = targets.record(&mut tape, &graph, settings, x)?;
        let gradients = tape.backward(losses.total)?;
        let gradient = tape.gradient(&gradients, x).expect("the loss depends on x");
        let gradient = tape.keep(gradient)?;
        let terms = [losses.total, losses.content, losses.style, losses.variation];
        let terms = terms.map(|term| tape.keep(term));
        let program = tape.finish()?;
        program.poison();
        program.run().await?;
        let mut values = Vec::new();
        for term in terms {
            values.push(gpu().read(&term?).await?[0]);
        }
        Ok((values, gpu().read(&gradient).await?))
    };
    pollster::block_on(run()).expect("losses")
}

/// How far losses and gradient of a picture that begins at `by` are from those of the same from its beginning.
fn moved(settings: &LossSettings, wrap: Wrap, by: (usize, usize)) -> [f64; 2] {
    let (own, at) = gradient(settings, wrap, (0, 0));
    let (losses, gradient) = gradient(settings, wrap, by);
    let off = |(a, b): (&f32, &f32)| f64::from((a / b - 1.0).abs());
    let at: Vec<f64> = rolled(&at, by).into_iter().map(f64::from).collect();
    let losses = losses.iter().zip(&own).map(off).fold(0.0, f64::max);
    [losses, relative_error(&gradient, &at)]
}

#[test]
fn it_does_not_matter_where_a_picture_begins() {
    for kind in Variation::ALL {
        // The sum of all values grows with the picture: it would be all that counts.
        let tv_weight = if kind == Variation::Absolute { 1e-4 } else { 2.0 };
        let settings = LossSettings {
            variation: kind,
            tv_weight,
            strength: if kind == Variation::Nine { 0.6 } else { 1.0 },
            ..LossSettings::default()
        };
        assert_eq!(settings.reach(&graph(Wrap::Both)).stride, STRIDE);
        for (wrap, by) in
            [(Wrap::X, (STRIDE, 0)), (Wrap::Y, (0, 3 * STRIDE)), (Wrap::Both, (2 * STRIDE, STRIDE))]
        {
            let [losses, gradient] = moved(&settings, wrap, by);
            assert!(
                losses < 1e-4 && gradient < 1e-4,
                "{kind}, {wrap}: {losses:.1e} {gradient:.1e}"
            );
        }
    }
    // With a seam it does matter: across it, and nowhere else.
    let settings = LossSettings::default();
    for (wrap, by) in [(Wrap::None, (STRIDE, 0)), (Wrap::X, (0, STRIDE)), (Wrap::Y, (STRIDE, 0))] {
        let [losses, gradient] = moved(&settings, wrap, by);
        assert!(losses > 1e-4 && gradient > 1e-2, "{wrap}: {losses:.1e} {gradient:.1e}");
    }
}

#[test]
fn what_would_leave_a_seam_is_refused() {
    let loss = LossSettings::default();
    let paint = |size, tiles| {
        let (content, graph) = (picture(size, 7), graph(Wrap::X));
        let styles = measured(gpu(), &graph, &loss, &[(picture((70, 50), 11), 1.0)]);
        let (start, layout) = (Start::Content, Layout { tiles, ..Layout::default() });
        let (regions, descent) = (Regions::ALL, Descent::default());
        let job = Job {
            content: &content,
            styles: &styles,
            regions,
            start,
            loss: loss.clone(),
            descent,
            layout,
        };
        pollster::block_on(Painter::new(gpu(), &graph, &job)).map(drop)
    };
    let refused = |size, tiles, words: &[&str]| match paint(size, tiles) {
        Err(Error::Usage(what)) => {
            assert!(words.iter().all(|word| what.contains(word)), "{what}");
        }
        other => panic!("{other:?}"),
    };
    refused((100, 100), None, &["‹seamless›", "100×100", "96×100"]);
    let tiles = Some(TileLayout { most: 64, keep: false });
    refused((96, 100), tiles, &["‹seamless›", "tiles"]);
    paint((96, 100), None).expect("it is painted");
}

/// A folder with a content and a style picture.
struct Studio(tempfile::TempDir);

impl Studio {
    fn new() -> Self {
        let studio = Studio(tempfile::tempdir().expect("a folder"));
        let pictures = [("content.png", ramp((70, 45))), ("style.png", picture((52, 60), 7))];
        for (name, picture) in pictures {
            let bytes = picture.encode(Format::Png).expect("a PNG");
            std::fs::write(studio.path(name), bytes).expect("written");
        }
        studio
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn run(&self, args: &str) -> Output {
        let mut command = program::impasto();
        command
            .arg("--no-tune")
            .current_dir(self.0.path())
            .arg("stylize")
            .args(args.split_whitespace());
        command.output().expect("impasto runs")
    }

    /// What a run that works says.
    #[track_caller]
    fn works(&self, args: &str) -> String {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args}: {text}");
        text
    }

    #[track_caller]
    fn fails(&self, args: &str, code: i32, words: &[&str]) {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{args}: {text}");
    }

    fn picture(&self, name: &str) -> Picture {
        Picture::decode(&self.read(name), name).expect("a picture")
    }

    fn setting(&self, name: &str) -> String {
        let json = settings(&self.read(name), name).expect("readable").expect("settings");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        json["settings"]["seamless"].as_str().expect("a name").to_owned()
    }
}

/// Dark above and at the left, bright below and at the right: no edge meets another.
fn ramp((width, height): (usize, usize)) -> Picture {
    let value = |i: usize| {
        let (x, y) = (i % width, i / width % height);
        0.2 + 0.3 * (x as f32 / width as f32 + y as f32 / height as f32)
    };
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width as u32, height as u32), rgb, None, Depth::Eight).expect("fits")
}

/// The mean difference of neighbouring columns where it is largest, and that of the first and the last; the same of rows.
fn differences(picture: &Picture) -> [[f64; 2]; 2] {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let at = |x: usize, y: usize| {
        let plane = width * height;
        [0, 1, 2].map(|colour| f64::from(picture.rgb()[colour * plane + y * width + x]))
    };
    let apart = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>();
    let across = |x: usize| {
        (0..height).map(|y| apart(at(x, y), at((x + 1) % width, y))).sum::<f64>() / height as f64
    };
    let down = |y: usize| {
        (0..width).map(|x| apart(at(x, y), at(x, (y + 1) % height))).sum::<f64>() / width as f64
    };
    let most = |of: &dyn Fn(usize) -> f64, count: usize| (0..count).map(of).fold(0.0, f64::max);
    [[most(&across, width - 1), across(width - 1)], [most(&down, height - 1), down(height - 1)]]
}

const RUN: &str =
    "content.png --style style.png --network random:vgg19/16 --size 70 --scales 2 --steps 12";

#[test]
fn the_result_meets_itself() {
    let studio = Studio::new();
    let run = |more: &str, output: &str| studio.works(&format!("{RUN} {more} -o {output}.png"));
    let said = run("--seamless", "both");
    // Three pools: 8 px are one pixel of the coarsest map. From 64 px on the network sees a second octave.
    let line = "--seamless both: 70×45 px become 72×48";
    assert_eq!(said.matches("--seamless").count(), 1, "{said}");
    assert!(said.contains(line), "{said}");
    let larger =
        "content.png --style style.png --network random:vgg19/16 --size 100 --steps 0 --seamless";
    let larger = studio.works(larger);
    assert!(larger.contains("100×64 px become 96×64"), "{larger}");
    let both = studio.picture("both.png");
    assert_eq!((both.size(), studio.setting("both.png").as_str()), ((72, 48), "both"));
    let [[across, sides], [down, ends]] = differences(&both);
    assert!(sides <= across && ends <= down, "{sides} {across}, {ends} {down}");

    let plain = run("", "plain");
    assert!(!plain.contains("seamless"), "{plain}");
    assert_eq!(studio.setting("plain.png"), "none");
    let [[across, sides], [down, ends]] = differences(&studio.picture("plain.png"));
    assert!(sides > across && ends > down, "{sides} {across}, {ends} {down}");

    run("--seamless x", "x");
    let x = studio.picture("x.png");
    assert_eq!((x.size(), studio.setting("x.png").as_str()), ((72, 45), "x"));
    let [[across, sides], [down, ends]] = differences(&x);
    assert!(sides <= across && ends > down, "{sides} {across}, {ends} {down}");

    // The record says it, and another command may say otherwise.
    studio.works("--settings-from both.png -o again.png");
    assert_eq!(studio.picture("again.png").rgb(), both.rgb());
    let quiet = studio.works("--settings-from both.png --seamless y -o y.png -q");
    assert_eq!((quiet.as_str(), studio.picture("y.png").size()), ("", (70, 48)));
    studio.works("--settings-from both.png --seamless none -o none.png");
    assert_eq!(studio.picture("none.png").rgb(), studio.picture("plain.png").rgb());
}

#[test]
fn tiles_are_refused() {
    let studio = Studio::new();
    let fails = |more: &str, code, words: &[&str]| {
        studio.fails(&format!("{RUN} --optimizer adam {more}"), code, words)
    };
    fails("--seamless --tile 64", 2, &["--seamless", "--tile", "leave one of them out"]);
    fails(
        "--seamless --memory 3MB",
        1,
        &["--seamless needs the whole picture of 72×48 px", "--memory", "--size"],
    );
    fails("--seamless z", 2, &["--seamless", "`z`", "x, y, both"]);
}

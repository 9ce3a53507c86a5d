//! Nothing is lost: runs that are killed, interrupted or out of room go on to the same bytes, and a result repeats
//! from the settings that it carries.
//!
//! `IMPASTO_KILLS=50 cargo test --test resume killed -- --nocapture` kills as often as that.
#![cfg(unix)]

mod common;
#[path = "common/program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use impasto::optim::State;
use impasto::paint::Carried;
use impasto::picture::{Depth, Format, Metadata, Picture, settings};
use impasto::session::Checkpoint;
use rand::RngExt;

/// A folder with a content and a style picture, and a run of 40 + 80 steps.
struct Studio(tempfile::TempDir);

const RUN: &str =
    "content.png --style style.png=2 --network random:vgg19/16 --size 64 --scales 2 --steps 80";

impl Studio {
    fn new() -> Self {
        let studio = Studio(tempfile::tempdir().expect("a folder"));
        for (name, (w, h), seed) in [("content.png", (64, 48), 3), ("style.png", (52, 60), 7)] {
            let value = |i: u32| ((i * seed + i / w * 11) % 251) as f32 / 255.0;
            let rgb = (0..3 * w * h).map(value).collect();
            let picture =
                Picture::from_planes((w, h), rgb, None, Depth::Eight).expect("planes fit");
            studio.write(name, &picture.encode(Format::Png).expect("a PNG"));
        }
        studio
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// `impasto stylize …`, on the device that the other tests run on, with the tuner and its memory.
    fn tuned(&self, args: &str) -> Command {
        let mut command = program::impasto();
        command.current_dir(self.0.path()).arg("stylize").args(args.split(' '));
        command
    }

    fn command(&self, args: &str) -> Command {
        let mut command = self.tuned(args);
        command.arg("--no-tune");
        command
    }

    fn run(&self, args: &str) -> Output {
        self.command(args).output().expect("impasto runs")
    }

    /// What a run that works says.
    #[track_caller]
    fn works(&self, args: &str) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args}: {}", stderr(&output));
        stderr(&output)
    }

    /// What a run that ends with `code` says, all of `words` among it.
    #[track_caller]
    fn fails(&self, args: &str, code: i32, words: &[&str]) {
        fails(&self.run(args), code, words);
    }

    /// Starts a run that writes a picture after every step, and waits for one of them.
    fn start(&self, args: &str, picture: &str) -> Child {
        let command = &mut self.command(args);
        let child = command.stderr(Stdio::piped()).spawn().expect("impasto runs");
        wait_for(&self.path(picture));
        child
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").file_name();
        let mut names: Vec<String> = entries.map(|e| name(e).to_string_lossy().into()).collect();
        names.sort();
        names
    }

    /// The rows of a trace, without their times.
    fn trace(&self, name: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.read(name)).expect("text");
        let row = |line: &str| {
            let mut row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(row.as_object_mut().expect("an object").remove("seconds").is_some());
            row
        };
        text.lines().map(row).collect()
    }
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains("error: ") && !text.contains("bug"), "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "no `{word}` in {text}"));
}

#[test]
fn killed_at_random_moments_it_ends_in_the_same_bytes() {
    let kills = std::env::var("IMPASTO_KILLS").map_or(4, |n| n.parse().expect("IMPASTO_KILLS"));
    let studio = Studio::new();
    let begun = Instant::now();
    studio.works(&format!("{RUN} -o whole.png"));
    let (whole, took) = (studio.read("whole.png"), begun.elapsed().as_secs_f64());
    let mut rng = common::rng(50);
    let (mut killed, mut resumed) = (0, 0);
    while killed < kills {
        // A run goes on from where the last kill left it, until it has outrun one.
        let goes_on = studio.path("kept").exists();
        let start = format!("{RUN} -o out.png -q --checkpoint kept --checkpoint-every 1");
        let args = if goes_on { "--resume kept -q" } else { &start };
        let mut child = studio.command(args).spawn().expect("impasto runs");
        std::thread::sleep(Duration::from_secs_f64(rng.random_range(0.3..1.2) * took));
        child.kill().expect("killed");
        killed += usize::from(child.wait().expect("it ends").code().is_none());
        if studio.path("out.png").exists() {
            assert!(studio.read("out.png") == whole, "other bytes after {killed} kills");
            ["out.png", "kept"].into_iter().for_each(|name| studio.remove(name));
        } else if studio.path("kept").exists() {
            // From every place that a kill left, the end is the same.
            std::fs::copy(studio.path("kept"), studio.path("copy")).expect("copied");
            studio.works("--resume copy -o end.png");
            assert!(studio.read("end.png") == whole, "other bytes after {killed} kills");
            resumed += 1;
        }
    }
    eprintln!("killed {killed} times, gone on to the end {resumed} times");
    assert!(resumed > 0, "no kill came between two checkpoints");
}

#[test]
fn a_resumed_trace_has_every_row_once() {
    let studio = Studio::new();
    // The coarse scale has 8 steps: checkpoints within a scale, at its end, and within the last one. Neighbours are kept: a
    // search from another picture would find others. They split features in 8 more steps.
    let ways = [("--style-loss neighbours", 31, [4, 8, 27]), ("--style-loss gram", 23, [4, 8, 20])];
    for (flags, rows, places) in ways {
        let run = RUN.replace("--steps 80", &format!("--steps 15 {flags}"));
        studio.works(&format!("{run} -o whole.png --trace whole.jsonl"));
        for every in places {
            let args = format!("-o part.png --checkpoint kept --checkpoint-every {every}");
            let said = studio.works(&format!("{run} {args} --trace part.jsonl"));
            assert_eq!(said.matches("impasto stylize --resume kept").count(), 1, "{said}");
            studio.remove("part.jsonl");
            studio.works("--resume kept -o again.png");
            // Where the trace goes is kept as well.
            let (whole, part) = (studio.trace("whole.jsonl"), studio.trace("part.jsonl"));
            assert_eq!(whole.len(), rows);
            assert!(whole == part, "other losses: {flags}, every {every}");
            assert!(studio.read("whole.png") == studio.read("again.png"), "{flags}, every {every}");
        }
    }
    // From another folder, too; what is named on the command line is meant there.
    std::fs::create_dir(studio.path("sub")).expect("a folder");
    let mut elsewhere = studio.command("--resume ../kept -o here.png --trace here.jsonl");
    let output = elsewhere.current_dir(studio.path("sub")).output().expect("impasto runs");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(studio.read("sub/here.png") == studio.read("whole.png"));
    assert!(studio.trace("sub/here.jsonl") == studio.trace("whole.jsonl"));
}

#[test]
fn an_interrupt_leaves_a_checkpoint_and_says_how_to_go_on() {
    let studio = Studio::new();
    studio.works(&format!("{RUN} -o whole.png"));
    for (signal, code, picture) in [("INT", 130, "out-000001.png"), ("TERM", 143, "out-000050.png")]
    {
        let child = studio.start(&format!("{RUN} -o out.png --save-every 1"), picture);
        common::signal(signal, child.id());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let words = "to go on: impasto stylize --resume out.png.checkpoint";
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert!(studio.read("out.png") != studio.read("whole.png"));
        // Who begins anew instead is told.
        let anew = studio.works(&format!("{} -o out.png", RUN.replace("--steps 80", "--steps 0")));
        assert!(anew.contains("out.png.checkpoint: an earlier run was kept here"), "{anew}");
        studio.works("--resume out.png.checkpoint -q");
        assert!(studio.read("out.png") == studio.read("whole.png"), "other bytes after {signal}");
        assert!(!studio.path("out.png.checkpoint").exists(), "it has served");
        let pictures = studio.names().into_iter().filter(|name| name.starts_with("out-"));
        pictures.for_each(|name| studio.remove(&name));
    }
}

#[test]
fn the_tuners_choices_come_from_the_file() {
    let studio = Studio::new();
    let run = |args: &str| {
        let mut command = studio.tuned(args);
        // Mesa would take its own cache along, and compile every shader anew.
        if let Some(home) = std::env::var_os("HOME") {
            command.env("MESA_SHADER_CACHE_DIR", Path::new(&home).join(".cache"));
        }
        command.env("XDG_CACHE_HOME", studio.path("cache"));
        let output = command.output().expect("impasto runs");
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output).contains("measuring which kernels")
    };
    let start = RUN.replace("--steps 80", "--steps 10")
        + " -o whole.png --checkpoint kept --checkpoint-every 8";
    assert!(run(&start));
    let _ = std::fs::remove_dir_all(studio.path("cache"));
    assert!(!run("--resume kept -o out.png"), "it measured again");
    assert!(studio.read("out.png") == studio.read("whole.png"));
}

#[test]
fn damaged_checkpoints_and_changed_inputs_are_refused() {
    let studio = Studio::new();
    let run = RUN.replace("--steps 80", "--steps 4");
    studio.works(&format!("{run} -o whole.png --checkpoint kept --checkpoint-every 3"));
    let kept = studio.read("kept");
    let refused = |bytes: &[u8], words: &[&str]| {
        studio.write("bad", bytes);
        studio.fails("--resume bad -o out.png", 1, &[&["bad: "], words].concat());
    };
    refused(b"", &["empty", "start anew"]);
    refused(b"short", &["no checkpoint"]);
    refused(&studio.read("whole.png"), &["no checkpoint", "--more bad goes on"]);
    for length in [100, kept.len() / 2, kept.len() - 1] {
        refused(&kept[..length], &["cut off"]);
    }
    refused(&[&kept[..], b"x"].concat(), &["damaged"]);
    let header = u64::from_le_bytes(*kept.first_chunk().expect("a length")) as usize;
    for at in [20, header / 2, header + 8, kept.len() / 2, kept.len() - 1] {
        let mut flipped = kept.clone();
        flipped[at] ^= 1;
        refused(&flipped, &["the checkpoint is damaged"]);
    }
    studio.fails("--resume missing -o out.png", 1, &["missing", "no such file"]);

    let style = studio.read("style.png");
    studio.write("style.png", &studio.read("content.png"));
    studio.fails(
        "--resume kept -o out.png",
        1,
        &["style.png", "kept", "SHA-256", "put the old file back"],
    );
    studio.remove("style.png");
    studio.fails("--resume kept -o out.png", 1, &["style.png", "kept", "put it back"]);
    studio.write("style.png", &style);

    for args in [
        "content.png",
        "--style style.png",
        "--steps 3",
        "--save-every 2",
        "--settings-from whole.png",
    ] {
        studio.fails(&format!("--resume kept {args}"), 2, &["--resume", "cannot be used"]);
    }
    studio.fails(&format!("{run} -o out.png --checkpoint out.png"), 2, &["--checkpoint out.png"]);
    studio.fails(&format!("{run} -o out.png --checkpoint style.png"), 2, &["style.png", "read"]);
    studio.fails(&format!("{run} -o out.png --checkpoint t --trace t"), 2, &["--checkpoint t"]);
    studio.fails(&format!("{run} -o out.png --checkpoint no/kept"), 1, &["no/kept", "no folder"]);
    assert!(!studio.path("out.png").exists());
    studio.works("--resume kept -o out.png");
    assert!(studio.read("out.png") == studio.read("whole.png"));
}

#[test]
fn a_run_goes_on_in_the_memory_that_it_began_with() {
    let studio = Studio::new();
    let run = RUN.replace("--steps 80", "--steps 5");
    let begun = "--memory 3GB --tile 68 --checkpoint kept --checkpoint-every 2";
    studio.works(&format!("{run} -o whole.png {begun}"));
    studio.works("--resume kept -o out.png --checkpoint again --checkpoint-every 1");
    studio.works("--resume kept -o more.png --memory 4GB --checkpoint more --checkpoint-every 1");
    for (name, memory) in [("kept", 3), ("again", 3), ("more", 4)] {
        let kept = Checkpoint::from_bytes(&studio.read(name), name).expect("a checkpoint");
        let notes: serde_json::Value = serde_json::from_str(&kept.notes).expect("JSON");
        assert_eq!(notes["origin"]["memory"], memory * 1_000_000_000_u64, "{name}");
        assert_eq!(notes["origin"]["tile"], 68, "{name}");
    }
    assert!(studio.read("out.png") == studio.read("whole.png"));
    for flag in ["--tile 80", "--plan"] {
        let name = flag.split(' ').next().expect("a name");
        studio.fails(&format!("--resume kept {flag}"), 2, &["--resume", name, "cannot be used"]);
    }
}

#[test]
fn a_checkpoint_keeps_every_bit() {
    let numbers = |count: usize| -> Vec<f32> {
        let odd = [0.1, -0.0, f32::MIN_POSITIVE / 4.0, f32::MAX, 1.0 / 3.0, f32::NEG_INFINITY];
        odd.into_iter().cycle().take(count).collect()
    };
    let picture =
        Picture::from_planes((3, 2), numbers(18), None, Depth::Sixteen).expect("planes fit");
    // Whatever tensors an optimiser has.
    let tensors = [("clock", 3), ("mean", 18), ("history 0", 36), ("none", 0)];
    let tensors = tensors.map(|(name, count)| (name.to_owned(), numbers(count))).into();
    let state = State { steps: u64::MAX, tensors };
    let carried = Carried { picture, state, seconds: 0.1 };
    let notes =
        "\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\"".into();
    let checkpoint = Checkpoint { carried, notes, log: vec![0, 255] };
    let bytes = checkpoint.to_bytes().expect("bytes");
    let again = Checkpoint::from_bytes(&bytes, "kept").expect("a checkpoint");
    assert_eq!(again, checkpoint);
    let bits = |checkpoint: &Checkpoint| -> Vec<u32> {
        let tensors = checkpoint.carried.state.tensors.values().flatten();
        checkpoint.carried.picture.rgb().iter().chain(tensors).map(|f| f.to_bits()).collect()
    };
    assert_eq!(bits(&again), bits(&checkpoint));
    // No byte of it can change unnoticed.
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(Checkpoint::from_bytes(&flipped, "kept").is_err(), "byte {at}");
    }
}

#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let studio = Studio::new();
    let run = RUN.replace("--steps 80", "--steps 9");
    studio.works(&format!("{run} -o whole.png --checkpoint kept --checkpoint-every 3"));
    studio.works(&format!("{run} -o part.png --checkpoint kept --checkpoint-every 10"));
    let (kept, names) = (studio.read("kept"), studio.names());
    // Files of at most 64 blocks, and an error instead of a signal beyond them: a checkpoint has more.
    assert!(kept.len() > 64 * 1024);
    let full = |args: &str| {
        let inner = studio.command(args);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 64; trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(inner.get_program()).args(inner.get_args()).current_dir(studio.0.path());
        command.output().expect("sh runs")
    };
    // Mesa's driver keeps its memory in files since version 25, and dies of that limit.
    let small = full(&format!(
        "{} -o small.png",
        run.replace("--scales 2 --steps 9", "--scales 1 --steps 1")
    ));
    if small.status.code().is_none() {
        return common::skipped("the full disk: the driver does not live with small files");
    }
    assert!(small.status.success(), "{}", stderr(&small));
    studio.remove("small.png");
    let output = full("--resume kept -o out.png --checkpoint-every 2");
    fails(&output, 1, &["kept: it can't be written", "to go on: impasto stylize --resume kept"]);
    assert!(studio.read("kept") == kept, "the checkpoint is another");
    assert_eq!(studio.names(), names, "files were left");
    studio.works("--resume kept -o out.png");
    assert!(studio.read("out.png") == studio.read("whole.png"));
}

#[test]
fn a_result_repeats_from_its_settings() {
    let studio = Studio::new();
    studio.write("start.png", &studio.read("style.png"));
    let args = "--steps 6 --size 48 --style-size 40 --style-weight 33.5 --content-layers relu2_2=2 --lr 0.03 --pool avg";
    let from = "content.png --style style.png=2 --style start.png --network random:vgg19/16 --init start.png --seed 9";
    for extension in ["png", "jpg", "webp", "tiff"] {
        studio.works(&format!("{from} {args} -o a.{extension}"));
        studio.works(&format!("--settings-from a.{extension} -o b.{extension}"));
        let (a, b) =
            (studio.read(&format!("a.{extension}")), studio.read(&format!("b.{extension}")));
        assert!(a == b, ".{extension} repeats as another picture");
    }
    let made = settings(&studio.read("a.png"), "a.png").expect("a PNG").expect("settings");
    assert!(made.len() < 2048 && !made.contains("a.png"), "{made}");
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["version"], 1);
    assert_eq!(made["settings"]["style"], serde_json::json!(["style.png=2", "start.png"]));
    assert_eq!(made["settings"]["style-weight"], 33.5);
    // Defaults, too, so that other ones change nothing.
    assert_eq!(made["settings"]["scales"], "auto");
    assert_eq!(made["inputs"]["content.png"].as_str().map(str::len), Some(64));

    // What is given counts; the rest stays.
    studio.works("--settings-from a.png -o c.png --steps 2 --style start.png");
    let changed = settings(&studio.read("c.png"), "c.png").expect("a PNG").expect("settings");
    let changed: serde_json::Value = serde_json::from_str(&changed).expect("JSON");
    assert_eq!(changed["settings"]["style"], "start.png");
    assert_eq!(changed["settings"]["steps"], 2);
    assert_eq!(changed["settings"]["lr"], 0.03);
    studio.works("style.png --settings-from a.png -o c.png --steps 0");
}

#[test]
fn settings_that_are_missing_changed_or_foreign() {
    let studio = Studio::new();
    studio.works(&format!("{} -o a.png", RUN.replace("--steps 80", "--steps 1")));
    studio.fails("--settings-from content.png -o b.png", 1, &["content.png", "no settings"]);
    studio.fails("--settings-from none.png -o b.png", 1, &["none.png", "no such file"]);
    studio.fails("--style style.png -o b.png", 2, &["CONTENT"]);
    let content = studio.read("content.png");
    studio.write("content.png", &studio.read("style.png"));
    let said = studio.works("--settings-from a.png -o b.png");
    assert!(said.contains("content.png: it has changed since a.png"), "{said}");
    studio.remove("content.png");
    let words = ["content.png", "a.png", "another photograph"];
    studio.fails("--settings-from a.png -o b.png", 1, &words);
    studio.write("content.png", &content);
    studio.remove("style.png");
    studio.fails("--settings-from a.png -o b.png", 1, &["style.png", "a.png", "--style"]);

    studio.write("style.png", &content);
    let picture = Picture::decode(&studio.read("a.png"), "a.png").expect("a picture");
    let made = picture.metadata().settings.clone().expect("settings");
    let with = |settings: String| {
        let metadata = Metadata { settings: Some(settings), ..picture.metadata().clone() };
        let picture = picture.clone().with_metadata(metadata);
        studio.write("odd.png", &picture.encode(Format::Png).expect("a PNG"));
    };
    with(made.replace(env!("CARGO_PKG_VERSION"), "0.0.1"));
    let said = studio.works("--settings-from odd.png -o b.png");
    assert!(said.contains("odd.png: made by impasto 0.0.1"), "{said}");
    for (from, to, word) in [
        ("\"version\":1", "\"version\":2", "newer"),
        ("\"seed\"", "\"sow\"", "--sow"),
        ("\"steps\":1", "\"steps\":1,\"lr\":-1", "above 0"),
        ("{", "[", "can't be read"),
    ] {
        assert!(made.contains(from), "{made}");
        with(made.replacen(from, to, 1));
        studio.fails("--settings-from odd.png -o b.png", 1, &["odd.png", word]);
    }
}

//! A folder with pictures for the program, and what is said of a run of it.
#![allow(dead_code)] // Each test binary uses a part of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use impasto::picture::{Depth, Format, Metadata, Picture};

use crate::program;

pub fn impasto() -> Command {
    let mut command = program::impasto();
    // tests/tune.rs has the tuner.
    command.arg("--no-tune");
    command
}

/// A folder with a content and a style picture.
pub struct Studio(pub tempfile::TempDir);

impl Studio {
    pub fn new() -> Self {
        let studio = Studio(tempfile::tempdir().expect("a folder"));
        studio.write("content.png", &picture(40, 30, 3).encode(Format::Png).expect("a PNG"));
        studio.write("style.jpg", &picture(36, 48, 7).encode(Format::Jpeg).expect("a JPEG"));
        studio
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// `stylize content.png --style style.jpg` with a small network, then `args`.
    pub fn stylize(&self, args: &[&str]) -> Output {
        let mut command = impasto();
        command.current_dir(self.0.path()).args(["stylize", "content.png", "--style", "style.jpg"]);
        command.args(["--network", "random:vgg19/16"]).args(args);
        command.output().expect("impasto runs")
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").file_name();
        let mut names: Vec<String> = entries.map(|e| name(e).to_string_lossy().into()).collect();
        names.sort();
        names
    }
}

pub fn picture(width: u32, height: u32, seed: u32) -> Picture {
    let value = |i: u32| ((i * seed + i / width * 11) % 251) as f32 / 255.0;
    let rgb = (0..3 * width * height).map(value).collect();
    Picture::from_planes((width, height), rgb, None, Depth::Eight).expect("planes fit")
}

/// The pixels; tests/resume.rs has the settings that go with them.
pub fn decode(path: &Path) -> Picture {
    let picture = Picture::decode(&std::fs::read(path).expect("a file"), "result");
    picture.expect("a picture").with_metadata(Metadata::default())
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// That the program ended with `code`, and that its error line holds all of `words`.
#[track_caller]
pub fn fails(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let line = text.lines().find(|l| l.starts_with("error: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(!text.contains("bug"), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {line}");
    }
}

#[track_caller]
pub fn works(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

//! The tuner as a user meets it: measured once, remembered, forgotten where it does not hold.
#![cfg(target_os = "linux")] // Elsewhere the cache folder can't be moved by a variable.

#[path = "common/program.rs"]
mod program;

use std::path::{Path, PathBuf};

use impasto::picture::{Depth, Format, Picture};

/// A folder with a picture and a cache of its own.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Home(tempfile::tempdir().expect("a folder"));
        let rgb = (0..3 * 48 * 40).map(|i| (i % 251) as f32 / 250.0).collect();
        let picture = Picture::from_planes((48, 40), rgb, None, Depth::Eight).expect("planes fit");
        let bytes = picture.encode(Format::Png).expect("a PNG");
        std::fs::write(home.path("picture.png"), bytes).expect("written");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `impasto …` with the cache in `cache`; standard output and error.
    fn impasto(&self, cache: &Path, args: &str) -> (String, String) {
        let mut command = program::impasto();
        // Mesa would take its own cache along, and compile every shader anew.
        let home = std::env::var("XDG_CACHE_HOME").map(PathBuf::from);
        let home =
            home.or_else(|_| std::env::var("HOME").map(|home| Path::new(&home).join(".cache")));
        if let Ok(home) = home {
            command.env("MESA_SHADER_CACHE_DIR", home);
        }
        command.current_dir(self.0.path()).env("XDG_CACHE_HOME", cache).args(args.split(' '));
        let out = command.output().expect("impasto runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "{args}: {}", text(&out.stderr));
        (text(&out.stdout), text(&out.stderr))
    }

    /// Paints; whether it measured kernels, and the result's bytes.
    fn paint(&self, cache: &Path, more: &str) -> (bool, Vec<u8>) {
        let args =
            "stylize picture.png --style picture.png --network random:vgg19/8 --steps 2 -o out.png";
        let size = if more.contains("--size") { "" } else { " --size 0" };
        let (_, said) = self.impasto(cache, &format!("{args}{size}{more}"));
        let bytes = std::fs::read(self.path("out.png")).expect("a picture");
        (said.contains("measuring which kernels"), bytes)
    }

    /// The file with the choices.
    fn remembered(&self) -> PathBuf {
        let mut files = std::fs::read_dir(self.path("cache/impasto")).expect("a cache folder");
        let file = files.next().expect("a file").expect("an entry").path();
        assert!(files.next().is_none(), "more than one file");
        file
    }
}

#[test]
fn choices_are_measured_once_and_remembered() {
    let home = Home::new();
    let cache = home.path("cache");
    let (measured, first) = home.paint(&cache, "");
    assert!(measured);
    let text = std::fs::read_to_string(home.remembered()).expect("choices");
    let choices: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let variants = choices["variants"].as_object().expect("variants");
    assert!(variants.keys().any(|class| class.ends_with(" backward")), "{text}");

    let (measured, second) = home.paint(&cache, "");
    assert!(!measured);
    assert!(first == second, "the same choices gave other bytes");
    // Another size has other classes.
    assert!(home.paint(&cache, " --size 96").0);
}

#[test]
fn what_is_damaged_or_meant_for_another_device_is_measured_again() {
    let home = Home::new();
    let cache = home.path("cache");
    home.paint(&cache, "");
    let good = std::fs::read_to_string(home.remembered()).expect("choices");
    let foreign = good.replacen("\"key\": \"", "\"key\": \"another ", 1);
    assert_ne!(foreign, good);
    for bad in ["", "{", "\u{0}\u{1}", &good[..good.len() / 2], &foreign] {
        std::fs::write(home.remembered(), bad).expect("written");
        assert!(home.paint(&cache, "").0, "{bad}");
        let text = std::fs::read_to_string(home.remembered()).expect("choices");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "not rewritten: {text}");
    }
    // Names that no variant has fall back to the defaults.
    let mut unknown: serde_json::Value = serde_json::from_str(&good).expect("JSON");
    let variants = unknown["variants"].as_object_mut().expect("variants");
    variants.values_mut().for_each(|variant| *variant = "novel".into());
    std::fs::write(home.remembered(), unknown.to_string()).expect("written");
    let (_, defaults) = home.paint(&cache, " --no-tune");
    let (measured, painted) = home.paint(&cache, "");
    assert!(!measured);
    // The settings in the file say --no-tune in one of them.
    let pixels = |bytes: &[u8]| Picture::decode(bytes, "out.png").expect("a picture").into_planes();
    assert!(
        pixels(&painted) == pixels(&defaults),
        "unknown variants gave other bytes than the defaults"
    );
}

#[test]
fn no_cache_folder_is_no_reason_not_to_paint() {
    let home = Home::new();
    let (measured, _) = home.paint(Path::new("/dev/null/cache"), "");
    assert!(measured);
    let (measured, _) = home.paint(&home.path("cache"), " --no-tune");
    assert!(!measured && !home.path("cache/impasto").exists());
}

#[test]
fn tuning_can_be_asked_for() {
    let home = Home::new();
    let (said, _) = home.impasto(&home.path("cache"), "tune --network random:vgg19/16 --size 32");
    assert!(said.contains("conv2d 4→4 2^10 backward: "), "{said}");
    assert!(said.contains("kept in"), "{said}");
    home.remembered();
}

//! Several photographs in one call.

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/studio.rs"]
mod studio;

use std::process::Output;

use impasto::picture::Format;
use studio::{Studio, decode, fails, impasto, picture, stderr, works};

/// `stylize` with a small network, then `args`.
fn stylize(studio: &Studio, args: &str) -> Output {
    let mut command = impasto();
    command.current_dir(studio.0.path()).args(["stylize", "--network", "random:vgg19/16"]);
    command.args(["--steps", "2"]).args(args.split(' '));
    command.output().expect("impasto runs")
}

/// A studio with three photographs, one of another size.
fn album() -> Studio {
    let studio = Studio::new();
    for (name, width, seed) in [("a.png", 40, 3), ("b.png", 40, 5), ("c.png", 60, 9)] {
        studio.write(name, &picture(width, 30, seed).encode(Format::Png).expect("a PNG"));
    }
    studio
}

#[test]
fn each_is_what_it_would_be_alone() {
    let studio = album();
    let all = stylize(&studio, "a.png b.png c.png --style style.jpg --size 0 -o out");
    works(&all);
    let text = stderr(&all);
    for line in ["1 of 3: a.png", "2 of 3: b.png", "3 of 3: c.png"] {
        assert!(text.contains(line), "{text}");
    }
    for name in ["a", "b", "c"] {
        works(&stylize(&studio, &format!("{name}.png --style style.jpg --size 0")));
        let (alone, together) = (format!("{name}-style.png"), format!("out/{name}-style.png"));
        assert_eq!(decode(&studio.path(&alone)), decode(&studio.path(&together)), "{name}");
        // The settings name the one photograph.
        let json = impasto::picture::settings(&studio.read(&together), &together);
        let json = json.expect("a picture").expect("settings");
        assert!(json.contains(&format!("\"content\":\"{name}.png\"")), "{json}");
    }
    // What a run of several made is a result like any other.
    works(&stylize(&studio, "--settings-from out/b-style.png -o again.png"));
    assert_eq!(decode(&studio.path("again.png")), decode(&studio.path("out/b-style.png")));
}

#[test]
fn without_a_folder_they_stand_beside_their_photographs() {
    let studio = album();
    works(&stylize(&studio, "a.png b.png --style style.jpg --size 32 -q"));
    assert_eq!(decode(&studio.path("a-style.png")).size(), (32, 24));
    assert_eq!(decode(&studio.path("b-style.png")).size(), (32, 24));
    // One photograph may go into a folder as well.
    std::fs::create_dir(studio.path("there")).expect("a folder");
    works(&stylize(&studio, "a.png --style style.jpg --size 32 -o there"));
    assert_eq!(decode(&studio.path("there/a-style.png")), decode(&studio.path("a-style.png")));
}

#[test]
fn what_clashes_is_refused_before_anything_is_painted() {
    let studio = album();
    std::fs::create_dir(studio.path("more")).expect("a folder");
    std::fs::copy(studio.path("b.png"), studio.path("more/a.png")).expect("copied");
    std::fs::copy(studio.path("b.png"), studio.path("a-style.png")).expect("copied");
    let names = studio.names();
    let refused = |args: &str, words: &[&str]| fails(&stylize(&studio, args), 2, words);
    let both = "a.png more/a.png --style style.jpg -o out";
    refused(both, &["a.png", "more/a.png", "out/a-style.png"]);
    refused("a.png a.png --style style.jpg -o out", &["a.png and a.png"]);
    // Without a folder the first would replace the second.
    refused("a.png a-style.png --style style.jpg", &["a-style.png", "-o"]);
    refused("a.png b.png --style style.jpg -o c.png", &["-o c.png", "folder"]);
    for (flag, value) in [("--trace", "t.jsonl"), ("--checkpoint", "c"), ("--more", "a-style.png")]
    {
        refused(&format!("a.png b.png --style style.jpg -o out {flag} {value}"), &[flag, value]);
    }
    refused("a.png b.png --style style.jpg -o out --strength 2", &["strength"]);
    works(&stylize(&studio, "a.png b.png --style style.jpg --size 32 -o out --plan"));
    // What all of them need is looked for once.
    let missing = stylize(&studio, "a.png b.png --style no.jpg -o out");
    fails(&missing, 1, &["no.jpg"]);
    assert!(!stderr(&missing).contains("of 2"), "{}", stderr(&missing));
    assert_eq!(studio.names(), names);
}

#[test]
fn one_that_fails_leaves_the_others_alone() {
    let studio = album();
    studio.write("b.png", b"this is no picture");
    let output =
        stylize(&studio, "a.png b.png missing.png c.png --style style.jpg --size 32 -o out");
    fails(&output, 1, &["error: b.png", "error: missing.png", "2 of 4"]);
    assert_eq!(decode(&studio.path("out/a-style.png")).size(), (32, 24));
    assert_eq!(decode(&studio.path("out/c-style.png")).size(), (32, 16));
    assert!(!studio.path("out/b-style.png").exists());
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_them_all() {
    let studio = album();
    let mut command = impasto();
    command.current_dir(studio.0.path()).args([
        "stylize",
        "a.png",
        "b.png",
        "--style",
        "style.jpg",
    ]);
    command.args(["--network", "random:vgg19/16", "--steps", "1000000", "--save-every", "1"]);
    command.args(["--size", "32", "-o", "out", "-q"]);
    let mut child = command.spawn().expect("impasto runs");
    let begun = std::time::Instant::now();
    while !studio.path("out/a-style-000001.png").exists() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "it never began");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    common::signal("INT", child.id());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(decode(&studio.path("out/a-style.png")).size(), (32, 24));
    assert!(!studio.path("out/b-style.png").exists());
}

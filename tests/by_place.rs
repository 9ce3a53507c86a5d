//! `--style-loss neighbours` on the command line.

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/studio.rs"]
mod studio;

use std::process::Output;

use studio::{Studio, decode, fails, impasto, stderr, works};

/// `stylize` with a small network, then `args`.
fn stylize(studio: &Studio, args: &str) -> Output {
    let mut command = impasto();
    command.current_dir(studio.0.path()).args(["stylize", "--network", "random:vgg19/16", "-q"]);
    command.args(args.split(' '));
    command.output().expect("impasto runs")
}

const RUN: &str = "content.png --style style.jpg --size 96 --style-loss neighbours --steps 4 --scales 2 --margin 0";

fn settings(studio: &Studio, name: &str) -> serde_json::Value {
    let json = impasto::picture::settings(&studio.read(name), name).expect("a picture");
    serde_json::from_str(&json.expect("settings")).expect("JSON")
}

#[test]
fn a_result_repeats_and_goes_back() {
    let studio = Studio::new();
    works(&stylize(&studio, &format!("{RUN} -o a.png --trace a.jsonl")));
    assert_eq!(decode(&studio.path("a.png")).size(), (96, 72));
    // Two sizes, and the last one once more for split features: 2 + 4 + 2 steps.
    let trace = String::from_utf8(studio.read("a.jsonl")).expect("text");
    assert_eq!(trace.lines().count(), 8, "{trace}");
    let own = settings(&studio, "a.png")["settings"].clone();
    assert_eq!((&own["optimizer"], &own["octaves"]), (&"adam".into(), &1.into()), "{own}");
    works(&stylize(&studio, "--settings-from a.png -o b.png"));
    assert!(studio.read("a.png") == studio.read("b.png"), "other bytes");
    // What belongs to neighbours does not stay without them.
    works(&stylize(&studio, "--settings-from a.png --style-loss gram --steps 2 -o c.png"));
    let own = settings(&studio, "c.png")["settings"].clone();
    assert_eq!((&own["optimizer"], &own["octaves"]), (&"auto".into(), &"auto".into()), "{own}");
    assert_eq!(own["style-layers"], impasto::loss::LossSettings::STYLE_LAYERS);
    works(&stylize(&studio, &format!("{RUN} --steps 0 -o start.png").replace("--steps 4 ", "")));
    // A finished picture that is gone on with stays as large, and begins nowhere smaller.
    for (from, args, rows) in
        [("a.png", "", 3), ("c.png", " --style-loss neighbours --margin 0", 3)]
    {
        works(&stylize(
            &studio,
            &format!("--more {from}{args} --steps 2 -o d.png --trace d.jsonl"),
        ));
        assert_eq!(decode(&studio.path("d.png")).size(), (96, 72));
        let trace = String::from_utf8(studio.read("d.jsonl")).expect("text");
        assert_eq!(trace.lines().count(), rows, "{trace}");
    }
    // What was chosen with neighbours stays with them.
    works(&stylize(&studio, &format!("{RUN} --lr 0.02 -o e.png")));
    works(&stylize(&studio, "--settings-from e.png --style-loss neighbours -o f.png"));
    assert!(studio.read("e.png") == studio.read("f.png"), "other settings");
}

#[test]
fn masks_blends_tiles_and_strength_go_with_it() {
    let studio = Studio::new();
    let two = format!("{RUN} --style style.jpg=0.5");
    for args in ["--strength 0.4", "--preserve-color luma", "--optimizer auto --octaves auto"] {
        works(&stylize(&studio, &format!("{two} {args} -o out.png")));
        assert_eq!(decode(&studio.path("out.png")).size(), (96, 72), "{args}");
    }
    let masks =
        "--mask content.png --mask content.png --style-mask style.jpg --style-mask style.jpg";
    works(&stylize(&studio, &format!("{two} {masks} -o out.png")));
    let large = two.replace("96", "144");
    works(&stylize(&studio, &format!("{large} --tile 96 --init noise -o out.png")));
    assert_eq!(decode(&studio.path("out.png")).size(), (144, 108));
    works(&stylize(&studio, &format!("{RUN} --strength 0 -o same.png")));
    works(&stylize(
        &studio,
        &format!("{} --strength 0 -o resized.png", RUN.replace("neighbours", "gram")),
    ));
    assert!(decode(&studio.path("same.png")).rgb() == decode(&studio.path("resized.png")).rgb());
}

#[test]
fn what_only_moments_have_is_refused() {
    let studio = Studio::new();
    for (args, words) in [
        ("--octaves 2", ["neighbours", "leave --octaves out"]),
        ("--style-layers relu1_1,relu3_1=0.5", ["neighbours", "leave the weights out"]),
        ("--optimizer lbfgs", ["neighbours", "leave --optimizer out"]),
        ("--seamless", ["neighbours", "leave --seamless out"]),
    ] {
        fails(&stylize(&studio, &format!("{RUN} {args} -o out.png")), 2, &words);
    }
    let plan = stylize(&studio, &format!("{RUN} --plan"));
    works(&plan);
    assert_eq!(String::from_utf8_lossy(&plan.stdout).matches("96×72 px: ").count(), 2);
    // Its own margin: what a network sees at edges would be found in the painting's.
    let plan = stylize(&studio, &format!("{} --plan", RUN.replace(" --margin 0", "")));
    assert_eq!(
        String::from_utf8_lossy(&plan.stdout).matches("112×88 px with the margin").count(),
        2
    );
    let output = stylize(&studio, &format!("{RUN} --style-layers relu9_1 -o out.png"));
    fails(&output, 1, &["relu9_1"]);
    assert!(!stderr(&output).contains("panicked"));
}

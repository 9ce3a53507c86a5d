//! The program as a user meets it: commands, files, messages, exit codes.

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/studio.rs"]
mod studio;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use impasto::picture::{Depth, Format, Metadata, Picture};
use studio::{Studio, decode, fails, impasto, picture, stderr, works};

#[test]
fn a_picture_its_trace_and_steps_between() {
    let studio = Studio::new();
    let args = "-o out.png --steps 5 --lr 0.02 --size 0 --trace t.jsonl --save-every 2";
    works(&studio.stylize(&args.split(' ').collect::<Vec<_>>()));
    assert_eq!(decode(&studio.path("out.png")).size(), (40, 30));
    assert_ne!(decode(&studio.path("out.png")), decode(&studio.path("content.png")));
    let expected =
        ["content.png", "out-000002.png", "out-000004.png", "out.png", "style.jpg", "t.jsonl"];
    assert_eq!(studio.names(), expected);
    let text = String::from_utf8(studio.read("t.jsonl")).expect("text");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 5);
    let mut before = 0.0;
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["step"], i);
        assert_eq!(row["scale"], 0);
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"));
        let sum = number("content") + 100.0 * number("style") + 2.0 * number("tv");
        assert!((number("total") - sum).abs() < 1e-4 * sum.max(1.0), "{row}");
        assert!(number("seconds") >= before, "{row}");
        before = number("seconds");
    }
    assert_eq!(rows[0]["content"], 0.0, "step 0 is the content picture itself");
    assert!(rows[4]["total"].as_f64() < rows[0]["total"].as_f64());
}

#[test]
fn coarse_pictures_come_first() {
    let studio = Studio::new();
    let args = "-o out.png --size 160 --scales 3 --steps 5 --trace t.jsonl --save-every 3 -v";
    let output = studio.stylize(&args.split(' ').collect::<Vec<_>>());
    works(&output);
    for size in ["80×64", "112×88", "160×120"] {
        assert!(stderr(&output).contains(&format!("step at {size} px")), "{}", stderr(&output));
    }
    assert_eq!(decode(&studio.path("out.png")).size(), (160, 120));
    // Pictures in between have one size, whatever size is being painted: they make a film.
    for name in ["000003", "000006", "000009"] {
        assert_eq!(decode(&studio.path(&format!("out-{name}.png"))).size(), (160, 120));
    }
    let text = String::from_utf8(studio.read("t.jsonl")).expect("text");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let scales: Vec<_> = rows.iter().map(|row| row["scale"].as_u64()).collect();
    assert_eq!(scales, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2].map(Some));
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["step"], i);
        assert!(i == 0 || row["seconds"].as_f64() >= rows[i - 1]["seconds"].as_f64(), "{text}");
    }
    let refused = studio.stylize(&["--scales", "none"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("auto, 1 to 16"), "{}", stderr(&refused));
}

#[test]
fn the_same_bytes_twice() {
    let studio = Studio::new();
    for out in ["a.png", "b.png"] {
        works(&studio.stylize(&["-o", out, "--steps", "4", "--init", "noise", "--seed", "7"]));
    }
    assert_eq!(studio.read("a.png"), studio.read("b.png"));
    works(&studio.stylize(&["-o", "c.png", "--steps", "4", "--init", "noise", "--seed", "8"]));
    assert_ne!(studio.read("a.png"), studio.read("c.png"));
}

/// The losses of a trace, by scale.
fn totals(text: Vec<u8>) -> [Vec<f64>; 2] {
    let mut totals = [Vec::new(), Vec::new()];
    for line in String::from_utf8(text).expect("text").lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let scale = row["scale"].as_u64().expect("a scale") as usize;
        totals[scale].push(row["total"].as_f64().expect("a loss"));
    }
    totals
}

#[test]
fn lbfgs_goes_lower_than_adam_and_the_same_way_twice() {
    let studio = Studio::new();
    let run = |name: &str, more: &str| {
        let args =
            format!("-o {name}.png --trace {name}.jsonl --size 48 --scales 2 --steps 60 {more}");
        works(&studio.stylize(&args.split_whitespace().collect::<Vec<_>>()));
        totals(studio.read(&format!("{name}.jsonl")))
    };
    let adam = run("adam", "--optimizer adam");
    let lbfgs = run("a", "--optimizer lbfgs --history 6");
    assert_eq!([lbfgs[0].len(), lbfgs[1].len()], [30, 60]);
    let best = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best(&lbfgs[1]) < best(&adam[1]), "{lbfgs:?} {adam:?}");
    run("b", "--optimizer lbfgs --history 6");
    assert_eq!(studio.read("a.png"), studio.read("b.png"));
    // The average is another picture, and where the next scale starts.
    let averaged = run("c", "--optimizer adam --average");
    assert_eq!(averaged[0], adam[0]);
    assert_ne!(averaged[1][0], adam[1][0]);
    assert_ne!(studio.read("c.png"), studio.read("adam.png"));
}

#[test]
fn a_flat_loss_ends_a_scale_at_the_same_step_twice() {
    let studio = Studio::new();
    let run = |name: &str| {
        let args = format!(
            "-o {name}.png --trace {name}.jsonl --size 32 --scales 2 --steps 500 --stop-when-flat=0.05"
        );
        let output = studio.stylize(&args.split_whitespace().collect::<Vec<_>>());
        works(&output);
        (totals(studio.read(&format!("{name}.jsonl"))), stderr(&output))
    };
    let (totals, said) = run("a");
    for (losses, (size, most)) in totals.iter().zip([("24×16", 250), ("32×24", 500)]) {
        let steps = losses.len();
        assert!((40..most).contains(&steps), "{steps} of {most}");
        let line = format!("{size} px: the loss is flat after {steps} of {most} steps");
        assert!(said.contains(&line), "no `{line}` in {said}");
    }
    assert_eq!(run("b").0, totals);
    assert_eq!(studio.read("a.png"), studio.read("b.png"));
}

#[test]
fn no_steps_write_the_initial_picture() {
    let studio = Studio::new();
    works(&studio.stylize(&["-o", "out.png", "--steps", "0", "--size", "0"]));
    assert_eq!(decode(&studio.path("out.png")), decode(&studio.path("content.png")));
    works(&studio.stylize(&["-o", "style.png", "--steps", "0", "--size", "0", "--init", "style"]));
    assert_eq!(decode(&studio.path("style.png")).size(), (40, 30));
    works(&studio.stylize(&["-o", "big.webp", "--steps", "0", "--size", "60"]));
    assert_eq!(decode(&studio.path("big.webp")).size(), (60, 45));
}

#[test]
fn a_strength_of_nothing_is_the_content_and_of_one_is_the_look() {
    let studio = Studio::new();
    // Whatever the other flags say: nothing is painted.
    let none = "-o none.png --size 60 --strength 0 --init noise --preserve-color luma --trace t.jsonl --scales 3";
    let output = studio.stylize(&none.split(' ').collect::<Vec<_>>());
    works(&output);
    assert!(stderr(&output).contains("nothing is painted"), "{}", stderr(&output));
    assert!(studio.read("t.jsonl").is_empty());
    works(&studio.stylize(&["-o", "content60.png", "--size", "60", "--steps", "0"]));
    assert_eq!(decode(&studio.path("none.png")), decode(&studio.path("content60.png")));
    let paint = |name: &str, flags: &[&str]| {
        let steps = ["-o", name, "--size", "0", "--steps", "3", "--init", "noise"];
        works(&studio.stylize(&[&steps[..], flags].concat()));
        decode(&studio.path(name))
    };
    let look = paint("look.png", &[]);
    assert_eq!(paint("all.png", &["--strength", "1"]), look);
    assert_ne!(paint("half.png", &["--strength", "0.5"]), look);
    assert_eq!(paint("same.png", &["--detail", "0.3", "--octaves", "auto"]), look);
    assert_ne!(paint("free.png", &["--detail", "0"]), look);
    assert_ne!(paint("detailed.png", &["--detail", "5"]), look);
}

#[test]
fn the_name_is_made_from_both() {
    let studio = Studio::new();
    works(&studio.stylize(&["--steps", "1"]));
    assert_eq!(studio.names(), ["content-style.png", "content.png", "style.jpg"]);
}

#[test]
fn several_styles_and_layers_with_weights() {
    let studio = Studio::new();
    studio.write("more.webp", &picture(33, 31, 5).encode(Format::WebP).expect("a WebP"));
    let layers = ["--style-layers", "relu1_1=2,relu2_1", "--content-layers", "relu2_2"];
    let args = ["-o", "out.tiff", "--steps", "2", "--style", "more.webp=0.5", "--pool", "avg"];
    works(&studio.stylize(&[&args[..], &layers[..]].concat()));
    assert_eq!(decode(&studio.path("out.tiff")).size(), (512, 384));
}

#[test]
fn alpha_and_sixteen_bits_are_carried() {
    let studio = Studio::new();
    let (w, h) = (24, 20);
    let alpha: Vec<f32> = (0..w * h).map(|i| (i % 65536) as f32 / 65535.0).collect();
    let rgb = (0..3 * w * h).map(|i| (i * 37 % 65536) as f32 / 65535.0).collect();
    let content =
        Picture::from_planes((w, h), rgb, Some(alpha), Depth::Sixteen).expect("planes fit");
    studio.write("content.png", &content.encode(Format::Png).expect("a PNG"));
    works(&studio.stylize(&["-o", "out.png", "--steps", "2", "--size", "0"]));
    let out = decode(&studio.path("out.png"));
    assert_eq!(out.depth(), Depth::Sixteen);
    assert_eq!(out.alpha(), content.alpha());
}

/// The colours of every pixel.
fn pixels(picture: &Picture) -> Vec<[f32; 3]> {
    let count = (picture.width() * picture.height()) as usize;
    (0..count).map(|i| [0, 1, 2].map(|plane| picture.rgb()[plane * count + i])).collect()
}

#[test]
fn colours_are_kept_or_taken() {
    let studio = Studio::new();
    let grey = picture(40, 30, 3).rgb()[..1200].repeat(3);
    let grey = Picture::from_planes((40, 30), grey, None, Depth::Eight).expect("planes fit");
    studio.write("content.png", &grey.encode(Format::Png).expect("a PNG"));
    let is_grey = |name: &str| {
        let result = pixels(&decode(&studio.path(name)));
        result.iter().all(|[red, green, blue]| red == green && green == blue)
    };
    let common = ["--size", "0", "--steps", "3", "--init", "noise", "--save-every", "2"];
    let run = |args: &[&str]| works(&studio.stylize(&[args, &common[..]].concat()));
    run(&["-o", "none.png"]);
    assert!(!is_grey("none.png"));
    run(&["-o", "luma.png", "--preserve-color", "luma"]);
    assert!(is_grey("luma.png") && is_grey("luma-000002.png"));
    assert_ne!(decode(&studio.path("luma.png")), grey);
    run(&["-o", "only.png", "--color-only"]);
    assert!(!is_grey("only.png"));
    for name in ["only.png", "only-000002.png"] {
        for ([red, green, blue], [luma, ..]) in
            pixels(&decode(&studio.path(name))).into_iter().zip(pixels(&grey))
        {
            let found = 0.299 * red + 0.587 * green + 0.114 * blue;
            assert!((found - luma).abs() < 1.0 / 255.0, "{found} is not {luma}");
        }
    }
    // A style with a grey picture's colours.
    let start = ["--size", "0", "--steps", "0", "--init", "style"];
    let histogram = ["-o", "start.png", "--preserve-color", "histogram"];
    works(&studio.stylize(&[&histogram[..], &start[..]].concat()));
    assert!(is_grey("start.png"));
    let both = studio.stylize(&["--preserve-color", "luma", "--color-only"]);
    fails(&both, 2, &["--color-only", "--preserve-color luma"]);
    fails(&studio.stylize(&["--preserve-color", "hue"]), 2, &["--preserve-color"]);
}

#[test]
fn the_contents_colour_space_is_the_results() {
    let studio = Studio::new();
    let exif = b"II*\0\x08\0\0\0\x01\0\x3B\x01\x02\0\x04\0\0\0Ann\0\0\0\0\0".to_vec();
    let icc = moxcms::ColorProfile::new_display_p3().encode().expect("a profile");
    let settings = Some("old".into());
    let metadata = Metadata { icc: Some(icc), exif: Some(exif), dpi: None, settings };
    let content = picture(36, 48, 3).with_metadata(metadata.clone());
    let style = picture(36, 48, 7);
    studio.write("content.png", &content.encode(Format::Png).expect("a PNG"));
    studio.write("other.png", &style.encode(Format::Png).expect("a PNG"));
    let args = ["-o", "out.webp", "--size", "0", "--steps", "0", "--init", "other.png"];
    works(&studio.stylize(&args));
    let out = Picture::decode(&studio.read("out.webp"), "out.webp").expect("a picture");
    let found = (&out.metadata().icc, &out.metadata().exif);
    assert_eq!(found, (&metadata.icc, &metadata.exif));
    // How the content was made is not how the result was.
    assert_ne!(out.metadata().settings, metadata.settings);
    let converted = style.clone().into_space_of(&content);
    let far = |a: &Picture, b: &Picture| {
        a.rgb().iter().zip(b.rgb()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(far(&out, &converted) < 0.6 / 255.0 && far(&style, &converted) > 0.05);
}

#[test]
fn quiet_and_verbose() {
    let studio = Studio::new();
    let quiet = studio.stylize(&["-o", "out.png", "--steps", "1", "-q"]);
    works(&quiet);
    assert!(!stderr(&quiet).contains("out.png"), "{}", stderr(&quiet));
    assert!(quiet.stdout.is_empty());
    let verbose = studio.stylize(&["-o", "out.png", "--steps", "1", "-v"]);
    for word in ["adapter:", "network: random:vgg19/16", "of buffers in all", "out.png"] {
        assert!(stderr(&verbose).contains(word), "no {word} in {}", stderr(&verbose));
    }
    let version = impasto().arg("--version").output().expect("impasto runs");
    works(&version);
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn devices_are_listed() {
    let plain = impasto().arg("devices").output().expect("impasto runs");
    works(&plain);
    let json = impasto().args(["devices", "--json"]).output().expect("impasto runs");
    works(&json);
    let list: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).expect("JSON");
    let name = list[0]["name"].as_str().expect("a name");
    assert!(String::from_utf8_lossy(&plain.stdout).contains(name));
    for key in ["index", "backend", "type", "driver", "max_buffer_bytes", "timestamps"] {
        assert!(!list[0][key].is_null(), "no {key} in {}", list[0]);
    }
}

/// What is said of a software driver, by everything that opens one.
const SOFTWARE: &str = " is a software driver: ";

#[test]
fn a_software_driver_is_marked_and_said_once() {
    let studio = Studio::new();
    let in_studio = |args: &[&str]| {
        let output = impasto().current_dir(studio.0.path()).args(args).output();
        let output = output.expect("impasto runs");
        works(&output);
        output
    };
    let json = in_studio(&["devices", "--json"]);
    let list: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).expect("JSON");
    let marked = String::from_utf8_lossy(&in_studio(&["devices"]).stdout).into_owned();
    for adapter in &list {
        assert_eq!(adapter["software"], adapter["type"] == "cpu", "{adapter}");
    }
    let software = list.iter().filter(|adapter| adapter["software"] == true).count();
    assert_eq!(marked.matches(", a software driver\n").count(), software, "{marked}");

    let stylize = "stylize content.png --style style.jpg --network random:vgg19/16 --steps 1";
    let plan = format!("{stylize} --plan");
    let step = "bench step --network random:vgg19/16 --size 32";
    // On a GPU nothing is said; where there are both, whichever the tests run on.
    let least = if software == list.len() { 1 } else { 0 };
    for command in [stylize, &plan, step] {
        let args: Vec<_> = command.split(' ').collect();
        let said = stderr(&in_studio(&args));
        assert!((least..=1).contains(&said.matches(SOFTWARE).count()), "{command}: {said}");
        let quiet = stderr(&in_studio(&[&args[..], &["-q"]].concat()));
        assert!(!quiet.contains(SOFTWARE), "{command}: {quiet}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_faster_than_software_opengl_is_said() {
    let studio = Studio::new();
    let stylize = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_impasto"));
        command.current_dir(studio.0.path()).args(["stylize", "content.png", "--no-tune"]);
        command.args(["--style", "style.jpg", "--network", "random:vgg19/16", "--steps", "0"]);
        // As on a machine without a Vulkan driver.
        command.env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none");
        command.args(flags).output().expect("impasto runs")
    };
    let free = stylize(&[]);
    if !stderr(&free).contains(SOFTWARE) {
        let _ = writeln!(std::io::stderr(), "skipped: there is no software driver for OpenGL");
        return;
    }
    works(&free);
    assert!(stderr(&free).contains(": install "), "{}", stderr(&free));
    // Whoever asks for OpenGL is not talked out of it.
    let chosen = stylize(&["--backend", "gl"]);
    works(&chosen);
    assert!(stderr(&chosen).contains(SOFTWARE), "{}", stderr(&chosen));
    assert!(!stderr(&chosen).contains("install"), "{}", stderr(&chosen));
}

#[test]
fn what_is_wrong_from_the_command_line_alone_exits_with_2() {
    let studio = Studio::new();
    let run = |args: &[&str]| studio.stylize(args);
    fails(&run(&["-o", "out.gif"]), 2, &["gif", "png"]);
    fails(&run(&["-o", "out"]), 2, &["extension"]);
    fails(&run(&["--style-layers", "relu1_1=x"]), 2, &["--style-layers", "relu1_1=x"]);
    fails(&run(&["--style", "style.jpg=-1"]), 2, &["--style", "-1"]);
    for flags in [
        ["--content-weight", "-1"],
        ["--lr", "0"],
        ["--optimizer", "sgd"],
        ["--history", "0"],
        ["--pool", "median"],
        ["--network", "vgg.pth"],
        ["--network", "random:vgg19/3"],
        ["--preprocess", "imagenet"],
        ["--backend", "opengl"],
        ["--save-every", "0"],
        ["--steps", "many"],
        ["--strength", "1.5"],
        ["--detail", "-1"],
        ["--strength", "-0.1"],
        ["--strength", "nan"],
        ["--precision", "f8"],
    ] {
        fails(&run(&flags), 2, &[flags[0]]);
    }
    fails(&run(&["--strength", "1.5"]), 2, &["from 0, the photograph, to 1, the whole style"]);
    fails(&run(&["--history", "5", "--optimizer", "adam"]), 2, &["--history", "lbfgs"]);
    fails(&run(&["--stop-when-flat=2"]), 2, &["--stop-when-flat"]);
    let nothing = impasto().output().expect("impasto runs");
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(studio.names(), ["content.png", "style.jpg"], "nothing was written");
}

#[test]
fn outputs_must_not_be_inputs() {
    let studio = Studio::new();
    let before = studio.read("content.png");
    fails(&studio.stylize(&["-o", "content.png"]), 2, &["content.png", "-o"]);
    fails(&studio.stylize(&["-o", "out.png", "--trace", "style.jpg"]), 2, &["style.jpg"]);
    fails(&studio.stylize(&["-o", "out.png", "--trace", "out.png"]), 2, &["--trace", "out.png"]);
    assert_eq!(studio.read("content.png"), before);
    // Nor may the pictures in between replace what is read, or be replaced by the trace.
    std::fs::rename(studio.path("style.jpg"), studio.path("out-000001.png")).expect("renamed");
    let mut command = impasto();
    command.current_dir(studio.0.path()).args([
        "stylize",
        "content.png",
        "--style",
        "out-000001.png",
    ]);
    let between =
        command.args(["-o", "out.png", "--save-every", "1"]).output().expect("impasto runs");
    fails(&between, 2, &["--save-every", "out-000001.png"]);
    let args = ["-o", "o.png", "--save-every", "1", "--trace", "o-000002.png"];
    fails(&studio.stylize(&args), 2, &["--trace"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_standard_error_costs_no_picture() {
    let studio = Studio::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = impasto();
    command.current_dir(studio.0.path()).args(["stylize", "content.png", "--style", "style.jpg"]);
    command.args(["--network", "random:vgg19/16", "--steps", "2", "-o", "out.png", "-v"]);
    assert!(command.stderr(full()).status().expect("impasto runs").success());
    assert_eq!(decode(&studio.path("out.png")).size(), (512, 384));
    let devices = impasto().arg("devices").stdout(full()).output().expect("impasto runs");
    fails(&devices, 1, &["standard output"]);
}

#[test]
fn unusable_inputs_are_named() {
    let studio = Studio::new();
    let run = |args: &[&str]| {
        let mut command = impasto();
        command.current_dir(studio.0.path()).args(["stylize"]).args(args).args(["-o", "out.png"]);
        command.output().expect("impasto runs")
    };
    fails(&run(&["missing.jpg", "--style", "style.jpg"]), 1, &["missing.jpg"]);
    studio.write("note.txt", b"this is no picture");
    fails(&run(&["note.txt", "--style", "style.jpg"]), 1, &["note.txt"]);
    let jpeg = studio.read("style.jpg");
    studio.write("cut.jpg", &jpeg[..jpeg.len() / 2]);
    fails(&run(&["content.png", "--style", "cut.jpg"]), 1, &["cut.jpg"]);
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    studio.write("photo.heic", heic);
    fails(&run(&["photo.heic", "--style", "style.jpg"]), 1, &["photo.heic", "HEIC", "JPEG"]);
    studio.write("w.safetensors", b"these are no weights at all");
    let weights = run(&["content.png", "--style", "style.jpg", "--network", "w.safetensors"]);
    fails(&weights, 1, &["w.safetensors"]);
    let layer = studio.stylize(&["-o", "out.png", "--content-layers", "relu9_9"]);
    fails(&layer, 1, &["relu9_9", "relu3_3"]);
    let small = studio.stylize(&["-o", "out.png", "--size", "4"]);
    fails(&small, 1, &["too small"]);
    assert!(!studio.names().contains(&"out.png".into()), "a failed run wrote a result");
}

#[test]
fn folders_that_are_missing_or_closed() {
    let studio = Studio::new();
    fails(&studio.stylize(&["-o", "no/such/out.png"]), 1, &["no/such"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir(studio.path("closed")).expect("a folder");
        let closed = std::fs::Permissions::from_mode(0o555);
        std::fs::set_permissions(studio.path("closed"), closed).expect("closed");
        if std::fs::write(studio.path("closed/probe"), b"").is_ok() {
            common::skipped("the read-only folder: this user may write anywhere");
        } else {
            fails(&studio.stylize(&["-o", "closed/out.png"]), 1, &["closed"]);
        }
    }
}

#[test]
fn adapters_that_are_not_there() {
    let studio = Studio::new();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_impasto"));
        command.current_dir(studio.0.path()).args(["stylize", "content.png"]);
        command.args(["--style", "style.jpg", "-o", "out.png"]).args(args);
        command.output().expect("impasto runs")
    };
    fails(&run(&["--adapter", "no such GPU"]), 1, &["--adapter no such GPU", "0 "]);
    fails(&run(&["--adapter", "99"]), 1, &["--adapter 99"]);
    let elsewhere = if cfg!(windows) { "metal" } else { "dx12" };
    let devices = Command::new(env!("CARGO_BIN_EXE_impasto"))
        .args(["devices", "--backend", elsewhere])
        .output()
        .expect("impasto runs");
    fails(&devices, 1, &["--backend", "no such adapter"]);
}

#[cfg(target_os = "linux")]
#[test]
fn without_any_adapter_the_message_says_what_to_install() {
    let none = "/nonexistent.json";
    let output = Command::new(env!("CARGO_BIN_EXE_impasto"))
        .args(["devices", "--backend", "vulkan"])
        .env("VK_DRIVER_FILES", none)
        .env("VK_ICD_FILENAMES", none)
        .env("__EGL_VENDOR_LIBRARY_FILENAMES", none)
        .output()
        .expect("impasto runs");
    for words in ["apt-get install mesa-vulkan-drivers", "dnf", "pacman", "make demo"] {
        fails(&output, 1, &[words]);
    }
}

#[test]
fn a_huge_picture_is_planned_before_work() {
    let studio = Studio::new();
    // A grey PNG of 12,000×12,000 px is small as a file and far beyond what a step can hold.
    let huge = image::GrayImage::from_pixel(12_000, 12_000, image::Luma([128]));
    huge.save(studio.path("huge.png")).expect("saved");
    let start = std::time::Instant::now();
    let stylize = |more: &[&str]| {
        let mut command = impasto();
        command.current_dir(studio.0.path()).args(["stylize", "huge.png", "--style", "style.jpg"]);
        command.args(["--size", "0", "--scales", "1", "--no-tune"]).args(more);
        command.output().expect("impasto runs")
    };
    let planned = stylize(&["--memory", "2GB", "--plan"]);
    let (code, said) = (planned.status.code(), String::from_utf8_lossy(&planned.stdout));
    assert_eq!(code, Some(0), "{planned:?}");
    assert!(said.contains("12000×12000 px") && said.contains("tiles of"), "{said}");
    fails(&stylize(&["--memory", "1MB"]), 1, &["--memory", "1 MB"]);
    for size in ["lots", "30", "3e9", "0MB"] {
        fails(&stylize(&["--memory", size]), 2, &["--memory", "a number with a unit", "2GB"]);
    }
    fails(&stylize(&["--optimizer", "lbfgs", "--memory", "1GB"]), 1, &["adam", "12000×12000"]);
    fails(&studio.stylize(&["--size", "4294967295", "-o", "out.png"]), 2, &["--size", "too large"]);
    assert!(start.elapsed() < Duration::from_secs(60), "it worked first");
}

#[test]
fn f16_is_a_setting_of_adapters_that_have_it() {
    let studio = Studio::new();
    let paint = |output, precision| {
        let trace = format!("{precision}.jsonl");
        let args = "--size 96 --scales 1 --steps 5 --precision";
        let args = args.split(' ').chain([precision, "-o", output, "--trace", &trace]);
        studio.stylize(&args.collect::<Vec<_>>())
    };
    works(&paint("full.png", "f32"));
    if !common::gpu().report().f16 {
        return fails(&paint("half.png", "f16"), 1, &["--precision f16", "--precision f32"]);
    }
    works(&paint("half.png", "f16"));
    let pixels = |name| image::open(studio.path(name)).expect("a picture").to_rgb8().into_raw();
    let (full, half) = (pixels("full.png"), pixels("half.png"));
    assert_ne!(full, half);
    let [of_full, of_half] =
        ["f32.jsonl", "f16.jsonl"].map(|name| totals(studio.read(name))[0].clone());
    assert_eq!(of_full.len(), 5);
    for (full, half) in of_full.iter().zip(&of_half) {
        assert!((full / half - 1.0).abs() < 0.05, "{of_full:?} {of_half:?}");
    }
    let mut again = impasto();
    again.current_dir(studio.0.path()).args(["stylize", "--settings-from", "half.png"]);
    works(&again.args(["-o", "again.png"]).output().expect("impasto runs"));
    assert_eq!(pixels("again.png"), half);
}

#[test]
fn a_finished_picture_is_painted_on() {
    let studio = Studio::new();
    let first =
        "--size 2in@32dpi --scales 1 --steps 6 --optimizer adam -o out.png --trace first.jsonl";
    works(&studio.stylize(&first.split(' ').collect::<Vec<_>>()));
    let again = |more: &str| {
        let mut command = impasto();
        command.current_dir(studio.0.path()).arg("stylize").args(more.split(' '));
        command.output().expect("impasto runs")
    };
    works(&again("--more out.png --steps 3 --trace second.jsonl"));
    let loss = |name, at: usize| totals(studio.read(name))[0][at];
    let (start, end, on) =
        (loss("first.jsonl", 0), loss("first.jsonl", 5), loss("second.jsonl", 0));
    // Where the first ended, rounded to 8 bits.
    assert!(on < end * 1.05 && on < 0.9 * start, "{start} {end} {on}");
    for name in ["out.png", "out-more.png"] {
        let picture = Picture::decode(&studio.read(name), name).expect("a picture");
        assert_eq!(picture.size(), (64, 48));
        let dpi = picture.metadata().dpi.expect("a size in print");
        assert!((dpi - 32.0).abs() < 0.02, "{name}: {dpi}");
    }
    fails(&again("--more content.png"), 1, &["content.png", "carries no settings"]);
    fails(&again("--more out.png --init noise"), 2, &["--more", "--init"]);
    fails(&again("--more out.png -o out.png"), 2, &["out.png", "which is read"]);
    fails(&studio.stylize(&["--size", "90x60@300dpi"]), 2, &["--size", "90x60cm@300dpi"]);
}

#[test]
fn a_margin_is_painted_and_cut_off() {
    let studio = Studio::new();
    let larger = picture(40, 30, 3).with_border((5, 5));
    studio.write("larger.png", &larger.encode(Format::Png).expect("a PNG"));
    let run = |content: &str, rest: &str| {
        let mut command = impasto();
        command.current_dir(studio.0.path()).args(["stylize", content, "--style", "style.jpg"]);
        command.args(["--network", "random:vgg19/16", "--steps", "3", "--size", "0"]);
        command.args(["--style-size", "40"]);
        works(&command.args(rest.split(' ')).output().expect("impasto runs"));
    };
    run("content.png", "--margin 5 -o with.png");
    run("content.png", "-o without.png");
    run("larger.png", "-o whole.png");
    let [with, without, whole] =
        ["with.png", "without.png", "whole.png"].map(|name| decode(&studio.path(name)));
    assert_eq!(with, whole.without_border((5, 5)));
    assert_ne!(with, without);
    // A result that is gone on with has its margin anew.
    let mut command = impasto();
    command.current_dir(studio.0.path()).args(["stylize", "--more", "with.png", "--steps", "0"]);
    works(&command.output().expect("impasto runs"));
    assert_eq!(decode(&studio.path("with-more.png")), with);
}

#[test]
fn tiles_and_masks_paint() {
    let studio = Studio::new();
    let size = ["--size", "96", "--scales", "2", "--octaves", "1"];
    let half =
        image::GrayImage::from_fn(40, 30, |x, _| image::Luma([if x < 20 { 255 } else { 0 }]));
    half.save(studio.path("mask.png")).expect("saved");
    let paint = |output: &str, more: &[&str]| {
        let all: Vec<&str> = size.iter().chain(more).copied().chain(["-o", output]).collect();
        works(&studio.stylize(&all));
        image::open(studio.path(output)).expect("a picture").to_rgb8()
    };
    let content = paint("content.png.png", &["--steps", "0"]);
    let masked = paint("masked.png", &["--steps", "2", "--mask", "mask.png"]);
    // Twice verbose: that nothing can be said about the time of tiles' dispatches costs no result.
    let tiles = ["--steps", "2", "--mask", "mask.png", "--tile", "80", "-vv"];
    let tiled = paint("tiled.png", &tiles);
    let (width, height) = masked.dimensions();
    for y in 0..height {
        assert_eq!(masked.get_pixel(width - 1, y), content.get_pixel(width - 1, y));
        assert_eq!(tiled.get_pixel(width - 1, y), content.get_pixel(width - 1, y));
    }
    assert!(masked.pixels().zip(content.pixels()).any(|(a, b)| a != b));
    // The settings say what was painted, not in which memory.
    let mut again = impasto();
    again.current_dir(studio.0.path()).args(["stylize", "--settings-from", "masked.png"]);
    works(&again.args(["-o", "again.png"]).output().expect("impasto runs"));
    assert_eq!(decode(&studio.path("again.png")), decode(&studio.path("masked.png")));
    // Steps that nobody gave are no setting: what was not painted at all can be painted after all.
    let mut after_all = impasto();
    paint("none.png", &["--strength", "0"]);
    after_all.current_dir(studio.0.path()).args(["stylize", "--settings-from", "none.png"]);
    let said = after_all.args(["--strength", "0.5", "--size", "32", "-o", "some.png"]).output();
    let said = said.expect("impasto runs");
    works(&said);
    assert!(stderr(&said).contains("steps in"), "{}", stderr(&said));
    assert!(!stderr(&said).contains("after 0 steps"), "{}", stderr(&said));
    // Masks belong to styles: another one is painted without.
    let free = paint("free.png", &["--settings-from", "masked.png"]);
    assert!((0..height).any(|y| free.get_pixel(width - 1, y) != content.get_pixel(width - 1, y)));
    let usage = |more: &[&str], says: &[&str]| fails(&studio.stylize(more), 2, says);
    usage(
        &["--mask", "mask.png", "--mask", "mask.png", "--mask", "mask.png"],
        &["--mask", "one for each"],
    );
    usage(&["--style-mask", "mask.png", "--style-mask", "mask.png"], &["--style-mask"]);
    usage(&["--tile", "0"], &["--tile"]);
    // What is wrong without a GPU is said without one.
    let unopened = |more: &[&str]| studio.stylize(&[more, &["--adapter", "none"]].concat());
    let both = unopened(&["--tile", "68", "--optimizer", "lbfgs"]);
    fails(&both, 2, &["--tile", "--optimizer lbfgs"]);
    image::GrayImage::new(40, 30).save(studio.path("black.png")).expect("saved");
    studio.write("broken.png", b"no picture");
    for flag in ["--mask", "--style-mask"] {
        fails(&unopened(&[flag, "black.png"]), 1, &["black.png: nothing in this mask is white"]);
        fails(&unopened(&[flag, "broken.png"]), 1, &["broken.png: "]);
    }
    // Steps that were not given are those that suit octaves and optimiser: Adam's, in tiles.
    for (name, more, steps) in [
        ("few.png", "--size 32", "50"),
        ("one.png", "--size 32 --octaves 1", "60"),
        ("many.png", "--size 120 --tile 80 --scales 1 --octaves 1", "100"),
    ] {
        let all = more.split(' ').chain(["-o", name, "-v"]).collect::<Vec<_>>();
        let said = studio.stylize(&all);
        works(&said);
        assert!(stderr(&said).contains(&format!("after {steps} steps")), "{}", stderr(&said));
    }
    fails(&studio.stylize(&["--tile", "8", "--octaves", "1"]), 1, &["tiles of 8 px", "--tile 80"]);
    let large = ["tiles of 8 px", "--tile 320"];
    fails(&studio.stylize(&["--tile", "8"]), 1, &large);
    let many = studio.stylize(&["--size", "96", "--octaves", "5"]);
    fails(&many, 2, &["--octaves 5", "96×72 px", "give 2 or less"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_writes_the_picture_as_it_stands() {
    for (signal, code, scales) in [("INT", 130, "1"), ("TERM", 143, "2")] {
        let studio = Studio::new();
        let mut command = impasto();
        command.current_dir(studio.0.path()).args([
            "stylize",
            "content.png",
            "--style",
            "style.jpg",
        ]);
        command.args(["--network", "random:vgg19/16", "--steps", "1000000", "-o", "out.png"]);
        command.args(["--size", "64", "--save-every", "1", "--trace", "t.jsonl", "-q"]);
        // At a coarse scale, too, the result has the size that was asked for.
        command.args(["--scales", scales]);
        let mut child = command.spawn().expect("impasto runs");
        // Until the first intermediate picture is there, it has not begun.
        let begun = std::time::Instant::now();
        while !studio.path("out-000001.png").exists() {
            assert!(begun.elapsed() < Duration::from_secs(120), "it never began");
            std::thread::sleep(Duration::from_millis(20));
        }
        common::signal(signal, child.id());
        assert_eq!(child.wait().expect("it ends").code(), Some(code));
        assert_eq!(decode(&studio.path("out.png")).size(), (64, 48));
        assert!(!studio.read("t.jsonl").is_empty());
    }
}

#[test]
fn style_losses_and_presets_are_flags() {
    let studio = Studio::new();
    let steps = |trace: &str| String::from_utf8(studio.read(trace)).expect("text").lines().count();
    for loss in ["gram", "mean-std", "wasserstein"] {
        let args = ["--style-loss", loss, "--steps", "2", "--scales", "1", "-o", "out.png"];
        let output = studio.stylize(&args);
        assert!(output.status.success(), "{loss}: {}", stderr(&output));
    }
    fails(
        &studio.stylize(&["--style-loss", "kl"]),
        2,
        &["--style-loss", "gram, mean-std, wasserstein, neighbours"],
    );
    fails(&studio.stylize(&["--preset", "monet"]), 2, &["monet", "gatys, neural-style", "crowson"]);
    for preset in ["gatys", "neural-style", "tutorial", "crowson", "gatys-hr"] {
        // What is given counts more than what the preset says.
        let args = [
            "--preset",
            preset,
            "--steps",
            "3",
            "--scales=1",
            "--trace",
            "t.jsonl",
            "-o",
            "out.png",
        ];
        let output = studio.stylize(&args);
        assert!(output.status.success(), "{preset}: {}", stderr(&output));
        assert_eq!(steps("t.jsonl"), 3, "{preset}");
    }
    let mut built_in = impasto();
    built_in.current_dir(studio.0.path()).args(["stylize", "content.png", "--style", "style.jpg"]);
    let output = built_in.args(["--preset", "crowson"]).output().expect("impasto runs");
    fails(&output, 1, &["relu4_2", "preset crowson", "torchvision's VGG-19"]);
    // A preset is the flags that it stands for.
    let tutorial = ["--preset", "tutorial", "--steps", "2", "--lr", "0.01", "-o", "a.png"];
    let flags = [
        ["--content-layers", "conv2_2"],
        ["--style-layers", "conv1_1,conv1_2,conv2_1,conv2_2,conv3_1"],
        ["--style-weight", "5e6"],
        ["--tv-weight", "0"],
        ["--normalization", "absolute"],
        ["--optimizer", "lbfgs"],
        ["--steps", "2"],
        ["--scales", "1"],
        ["--lr", "0.01"],
        ["--octaves", "1"],
        ["--detail", "0"],
        ["-o", "b.png"],
    ];
    assert!(studio.stylize(&tutorial).status.success());
    assert!(studio.stylize(&flags.concat()).status.success());
    assert!(decode(&studio.path("a.png")).rgb() == decode(&studio.path("b.png")).rgb());
}

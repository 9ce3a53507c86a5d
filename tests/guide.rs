//! docs/GUIDE.md names every flag of every command, and none that does not exist.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Every command whose flags the guide must have. `stylize` has the guide's own sections, the others a heading each.
const COMMANDS: [&str; 9] = [
    "stylize",
    "devices",
    "demo",
    "tune",
    "bench",
    "bench peak",
    "bench kernels",
    "bench step",
    "bench compare",
];

fn help(command: &str) -> String {
    let mut impasto = Command::new(env!("CARGO_BIN_EXE_impasto"));
    let output = impasto.args(command.split_whitespace()).arg("--help").output();
    let output = output.expect("impasto runs");
    assert!(output.status.success(), "impasto {command} --help");
    String::from_utf8(output.stdout).expect("help is text")
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        // What a long description wraps to is indented further.
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?;
        name.split_whitespace().next()
    });
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The flags that a help text defines: those in its first column, long names and short ones.
fn defined(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    // Descriptions are wrapped to a column of their own, and may begin with a flag there.
    let first = lines.filter(|line| line.len() - line.trim_start().len() <= 6);
    let words = first.flat_map(|line| line.split_whitespace().take_while(|w| w.starts_with('-')));
    words.map(|word| word.trim_end_matches([',', '.']).to_owned()).map(bare).collect()
}

/// A flag without what stands behind it: `--average[=X]` is `--average`.
fn bare(flag: String) -> String {
    let end = flag.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_uppercase() || c == '-'));
    flag[..end.unwrap_or(flag.len())].to_owned()
}

/// The flags that a text names, long names and short ones.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "`|(".contains(c));
    let flags = words.filter(|word| {
        let name = word.trim_start_matches('-');
        word.len() > name.len() && name.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    flags.map(|flag| bare(flag.to_owned())).collect()
}

/// The guide's text about a command.
fn section(guide: &str, command: &str) -> String {
    let mut now = "stylize".to_owned();
    let mut text = String::new();
    for line in guide.lines() {
        if line.starts_with('#') {
            let of = line.split_once("`impasto ").and_then(|(_, rest)| rest.split_once('`'));
            now = of.map_or("stylize", |(command, _)| command).to_owned();
        }
        if now == command {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn guide() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/GUIDE.md");
    std::fs::read_to_string(path).expect("docs/GUIDE.md")
}

#[test]
fn every_command_is_known_here() {
    let mut commands = listed(&help(""));
    let under: Vec<_> = listed(&help("bench")).iter().map(|name| format!("bench {name}")).collect();
    commands.extend(under);
    let known: BTreeSet<_> = COMMANDS.map(str::to_owned).into();
    assert_eq!(commands.into_iter().collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_guide_names_every_flag_and_no_other() {
    let guide = guide();
    let program = defined(&help(""));
    let common: BTreeSet<_> = COMMANDS
        .map(|command| defined(&help(command)))
        .into_iter()
        .fold(program.clone(), |common, flags| common.intersection(&flags).cloned().collect());
    assert!(common.contains("--adapter") && common.contains("-q"), "{common:?}");
    for command in COMMANDS {
        let (defined, section) = (defined(&help(command)), section(&guide, command));
        let named = named(&section);
        // The flags of every command, and the program's own, are explained once, with `stylize`.
        let needed: Vec<_> = match command {
            "stylize" => defined.union(&program).collect(),
            _ => defined.difference(&common).collect(),
        };
        let missing: Vec<_> = needed.into_iter().filter(|flag| !named.contains(*flag)).collect();
        assert!(missing.is_empty(), "impasto {command}: docs/GUIDE.md lacks {missing:?}");
        let known = |flag: &&String| {
            let verbose = flag.as_str() == "-vv" && defined.contains("-v");
            defined.contains(*flag) || program.contains(*flag) || verbose
        };
        let unknown: Vec<_> = named.iter().filter(|flag| !known(flag)).collect();
        assert!(unknown.is_empty(), "impasto {command}: docs/GUIDE.md names {unknown:?}");
    }
}

#[test]
fn the_guide_shows_every_picture_that_is_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide");
    let guide = guide();
    let shown = guide.match_indices("guide/").map(|(at, _)| {
        guide[at + "guide/".len()..].split([')', ']', '"']).next().expect("a name").to_owned()
    });
    let shown: BTreeSet<_> = shown.collect();
    let files = std::fs::read_dir(folder).expect("docs/guide");
    let name = |file: std::io::Result<std::fs::DirEntry>| file.expect("a file").file_name();
    let there: BTreeSet<_> = files.map(|file| name(file).to_string_lossy().into_owned()).collect();
    assert_eq!(shown, there);
}

//! The rules. Each gives its violations, a line each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::tree::{At, File, Tree};

/// The rooms from the ground up, and which rooms below each may use.
pub const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("shape", &["error"]),
    ("random", &[]),
    ("gpu", &["error", "shape"]),
    ("picture", &["error", "shape"]),
    ("tape", &["error", "shape", "gpu"]),
    ("optim", &["error", "shape", "gpu"]),
    ("ops", &["error", "shape", "gpu", "tape"]),
    ("measure", &["error", "shape", "gpu", "tape", "ops"]),
    ("tune", &["error", "shape", "gpu", "tape", "ops", "measure"]),
    ("nets", &["error", "shape", "random", "gpu", "tape", "ops"]),
    ("loss", &["error", "shape", "gpu", "picture", "tape", "ops", "nets"]),
    ("tiles", &["error", "shape", "gpu", "picture", "tape", "ops", "nets", "loss"]),
    (
        "paint",
        &[
            "error", "shape", "random", "gpu", "picture", "tape", "optim", "ops", "nets", "loss",
            "tiles",
        ],
    ),
    ("plan", &["error", "shape", "gpu", "tape", "optim", "nets", "loss", "tiles", "paint"]),
    ("demo", &["error", "gpu", "picture"]),
    (
        "session",
        &["error", "shape", "gpu", "picture", "optim", "tune", "nets", "loss", "paint", "plan"],
    ),
    (
        "bench",
        &[
            "error", "shape", "gpu", "picture", "tape", "optim", "ops", "measure", "tune", "nets",
            "loss", "paint",
        ],
    ),
    (
        "cli",
        &[
            "error", "shape", "gpu", "picture", "optim", "tune", "nets", "loss", "paint", "plan",
            "session", "bench", "demo",
        ],
    ),
    ("main", &["cli"]),
];

/// What opens files, sockets and processes, and the crates of the feature `cli`.
const OF_THE_CLI: &[&[&str]] = &[
    &["clap"],
    &["indicatif"],
    &["dirs"],
    &["sysinfo"],
    &["signal_hook"],
    &["tempfile"],
    &["pollster"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
];

/// The first part of a path below `src`.
pub fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn in_cli(file: &str) -> bool {
    matches!(room(file), "cli" | "main")
}

/// Arrows between rooms that the table does not have; rooms that are missing in it.
/// `lib.rs` shows what there is and may name every room; nobody may need it.
pub fn rooms(tree: &Tree) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let names = tree.files.iter().map(|file| room(file)).filter(|room| *room != "lib");
    let missing: BTreeSet<&str> = names.filter(|room| !table.contains_key(room)).collect();
    let mut found: Vec<String> = missing
        .into_iter()
        .map(|room| format!("src/{room}: no such room in tests/house/rules.rs"))
        .collect();
    for ((from, lower), at) in &tree.words {
        let upper = room(from);
        let free = upper == lower || upper == "lib";
        if !free && !table.get(upper).is_some_and(|below| below.contains(&lower.as_str())) {
            found.push(format!("{at}: {upper} may not use {lower}"));
        }
    }
    found
}

/// What one room uses and may not.
pub fn room_alone(tree: &Tree, name: &str) -> Vec<String> {
    let own = tree.words.iter().filter(|((from, _), _)| room(from) == name);
    let words = own.map(|(word, at)| (word.clone(), at.clone())).collect();
    rooms(&Tree { words, ..Tree::default() })
}

/// `wgpu` outside of `src/gpu`, be it through a re-export.
pub fn wgpu(tree: &Tree) -> Vec<String> {
    named(tree, &[&["wgpu"]], |file| room(file) == "gpu")
}

/// What opens files, sockets and processes, and what is for terminals, outside of the command line.
pub fn outer_world(tree: &Tree) -> Vec<String> {
    named(tree, OF_THE_CLI, in_cli)
}

fn named(tree: &Tree, crates: &[&[&str]], allowed: fn(&str) -> bool) -> Vec<String> {
    let starts = |path: &[String], start: &[&str]| {
        path.len() >= start.len() && path.iter().zip(start).all(|(a, b)| a == b)
    };
    let named = tree
        .outside
        .iter()
        .filter(|(at, path)| !allowed(&at.file) && crates.iter().any(|start| starts(path, start)));
    named.map(|(at, path)| format!("{at}: names {}", path.join("::"))).collect()
}

/// Flags in strings outside of the command line: `--` before a letter, at the start of a word.
pub fn flags(tree: &Tree) -> Vec<String> {
    let is_flag = |text: &str| {
        text.match_indices("--").any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + 2..].chars().next();
            after.is_some_and(|c| c.is_ascii_alphabetic())
                && !before.is_some_and(|c| c.is_alphanumeric() || c == '-')
        })
    };
    let strings = tree.strings.iter().filter(|(at, text)| !in_cli(&at.file) && is_flag(text));
    strings.map(|(at, text)| format!("{at}: names a flag: {text:?}")).collect()
}

/// Circles of files: the shortest through each arrow that lies on one, short circles first.
pub fn circles(tree: &Tree) -> Vec<String> {
    let mut next: BTreeMap<&File, Vec<&File>> = BTreeMap::new();
    for (from, to) in tree.arrows.keys() {
        next.entry(from).or_default().push(to);
    }
    let mut circles: BTreeSet<(usize, Vec<&File>)> = BTreeSet::new();
    for (from, to) in tree.arrows.keys() {
        if let Some(mut circle) = way(&next, to, from) {
            // The same circle has one first file, wherever it was entered.
            let first = (0..circle.len()).min_by_key(|i| circle[*i]).unwrap_or(0);
            circle.rotate_left(first);
            circles.insert((circle.len(), circle));
        }
    }
    let line = |(_, circle): (usize, Vec<&File>)| {
        let mut text = String::from("circle:");
        for (i, from) in circle.iter().enumerate() {
            let to = circle[(i + 1) % circle.len()];
            let at: &At = &tree.arrows[&((*from).clone(), to.clone())];
            text += &format!(" {at} →");
        }
        format!("{text} src/{}", circle[0])
    };
    circles.into_iter().map(line).collect()
}

/// The files on the shortest way from one to another, both included.
fn way<'t>(
    next: &BTreeMap<&'t File, Vec<&'t File>>,
    from: &'t File,
    to: &'t File,
) -> Option<Vec<&'t File>> {
    let mut before: BTreeMap<&File, &File> = BTreeMap::new();
    let mut waiting = VecDeque::from([from]);
    while let Some(file) = waiting.pop_front() {
        if file == to {
            let mut way = vec![file];
            while *way.last()? != from {
                way.push(before[*way.last()?]);
            }
            way.reverse();
            return Some(way);
        }
        for other in next.get(file).into_iter().flatten() {
            if *other != from && !before.contains_key(other) {
                before.insert(other, file);
                waiting.push_back(other);
            }
        }
    }
    None
}

//! The rules of the house, held over the sources: which room may use which, no circle of files, and what is named
//! in one room only. No GPU needed.

mod broken;
mod names;
mod rules;
mod tree;

use std::path::Path;
use std::sync::LazyLock;

use tree::Tree;

static TREE: LazyLock<Tree> =
    LazyLock::new(|| Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));

fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}: {} violations\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_circle_of_files() {
    none("files don't use each other in circles", &rules::circles(&TREE));
}

#[test]
fn rooms_use_rooms_below() {
    none("a room uses only what the table allows", &rules::rooms(&TREE));
}

#[test]
fn the_gpu_knows_nothing_above() {
    none("src/gpu uses nothing above it", &rules::room_alone(&TREE, "gpu"));
}

#[test]
fn the_tape_knows_nothing_above() {
    none("src/tape uses nothing above it", &rules::room_alone(&TREE, "tape"));
}

#[test]
fn only_the_gpu_names_wgpu() {
    none("wgpu is named in src/gpu only", &rules::wgpu(&TREE));
}

#[test]
fn only_the_command_line_names_flags() {
    none("flags are named in src/cli only", &rules::flags(&TREE));
}

#[test]
fn only_the_command_line_opens_things() {
    none("files, processes, sockets and terminals belong to src/cli", &rules::outer_world(&TREE));
}

/// The table is in order: what a room may use stands before it. So no arrow can lead upwards.
#[test]
fn the_table_has_an_order() {
    for (i, (room, below)) in rules::ROOMS.iter().enumerate() {
        let lower: Vec<&str> = rules::ROOMS[..i].iter().map(|(room, _)| *room).collect();
        for other in *below {
            assert!(lower.contains(other), "{room} may use {other}, which stands above it");
        }
    }
}

/// Whatever the rules say of the tree, they saw it: all rooms, and arrows between them.
#[test]
fn the_tree_is_seen() {
    let arrows = |from: &str, to: fn(&str) -> bool| {
        let arrows = TREE.arrows.keys();
        arrows.filter(|(a, b)| rules::room(a) == from && to(rules::room(b))).count()
    };
    assert!(TREE.files.len() > 100, "{} files", TREE.files.len());
    assert!(arrows("ops", |room| room == "gpu") > 10 && arrows("cli", |room| room != "cli") > 5);
    assert_eq!(arrows("main", |_| true), 1);
    assert!(
        TREE.outside.iter().any(|(at, path)| rules::room(&at.file) == "gpu" && path[0] == "wgpu")
    );
    assert!(
        TREE.strings.iter().any(|(at, text)| rules::room(&at.file) == "cli" && text.contains("--"))
    );
}

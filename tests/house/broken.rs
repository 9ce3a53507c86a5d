//! Small trees that break a rule on purpose, and some that only look as if they did.

use crate::rules;
use crate::tree::Tree;

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::of(&files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect())
}

fn circles(files: &[(&str, &str)]) -> Vec<String> {
    rules::circles(&tree(files))
}

#[test]
fn a_circle_of_two_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "use crate::b::B;\npub struct A(B);"),
        ("b.rs", "pub struct B;\nfn f(a: super::a::A) {}"),
    ];
    assert_eq!(circles(&files), ["circle: src/a.rs:1 → src/b.rs:2 → src/a.rs"]);
}

#[test]
fn a_circle_of_three_through_re_exports_is_found() {
    let files = [
        ("lib.rs", "mod room; pub use room::*;"),
        ("room/mod.rs", "mod a; mod b; mod c; pub use a::A; pub use b::B as Bee; pub use c::*;"),
        ("room/a.rs", "use super::Bee; pub struct A;"),
        ("room/b.rs", "pub struct B; fn f() { crate::C::new() }"),
        ("room/c.rs", "pub struct C; fn f() -> crate::room::A {}"),
    ];
    let circle = "circle: src/room/a.rs:1 → src/room/b.rs:1 → src/room/c.rs:1 → src/room/a.rs";
    assert_eq!(circles(&files), [circle]);
}

#[test]
fn a_parent_that_uses_its_child_and_is_used_by_it_is_a_circle() {
    let child = ("room/a.rs", "use super::Parent; pub struct A(Parent);");
    let root = ("lib.rs", "pub mod room;");
    let uses = ("room/mod.rs", "mod a; pub use a::A; pub struct Parent; fn f(a: &A) {}");
    assert_eq!(circles(&[root, child, uses]).len(), 1);
    let shows = ("room/mod.rs", "mod a; pub use a::A; pub struct Parent;");
    assert!(circles(&[root, child, shows]).is_empty());
}

#[test]
fn siblings_through_their_parent_are_no_circle() {
    let files = [
        ("lib.rs", "pub mod room; pub mod other;"),
        ("room/mod.rs", "mod a; mod b; pub use a::a; pub use b::B; pub(crate) use b::b;"),
        ("room/a.rs", "use super::{B, b}; use crate::room; pub fn a() { room::b() }"),
        ("room/b.rs", "pub struct B; pub fn b() {}"),
        ("other.rs", "use crate::room::{self, a}; fn f() { room::a::a(); a() }"),
    ];
    let tree = tree(&files);
    assert_eq!(rules::circles(&tree), Vec::<String>::new());
    let arrows: Vec<_> = tree.arrows.keys().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(arrows, [("other.rs", "room/a.rs"), ("room/a.rs", "room/b.rs")]);
}

#[test]
fn circles_hide_in_macros_aliases_and_globs() {
    let root = ("lib.rs", "mod a; mod b;");
    let b = ("b.rs", "pub use crate::a::A;\npub fn b() {}");
    for a in [
        "pub struct A; fn f() { assert!(crate::b::b() == ()) }",
        "use crate::b as bee; pub struct A; fn f() { bee::b() }",
        "use super::b::*; pub struct A;",
        "pub struct A; impl A { fn f() { use super::b::b; b() } }",
        "pub struct A; #[derive(crate::b::Macro)] struct D;",
        "pub struct A; macro_rules! m { () => { $crate::b::b() } }",
        "mod inner { fn f() { super::super::b::b() } } pub struct A;",
    ] {
        assert_eq!(circles(&[root, b, ("a.rs", a)]).len(), 1, "{a}");
    }
}

#[test]
fn macros_lead_to_where_they_are_written() {
    let files = [
        ("lib.rs", "#[macro_use] mod m; mod a;"),
        ("m.rs", "#[macro_export] macro_rules! ours { () => {} } use crate::a::A;"),
        ("a.rs", "pub struct A; fn f() { crate::ours!() }"),
    ];
    assert_eq!(circles(&files).len(), 1);
    let files = [
        ("lib.rs", "mod room;"),
        ("room/mod.rs", "macro_rules! note { () => {} } mod a; fn f() { a::a() }"),
        ("room/a.rs", "pub fn a() { note!() }"),
    ];
    assert_eq!(circles(&files).len(), 1);
}

#[test]
fn tests_and_comments_do_not_count() {
    let files = [
        ("lib.rs", "mod a; mod gpu; pub mod error;"),
        ("error.rs", "//! `--size`, wgpu.\npub struct Error;"),
        (
            "a.rs",
            "/// `--size`, [`crate::gpu::G`]\npub struct A; // \"--size\" wgpu::Limits
             #[cfg(test)] mod tests { use crate::gpu::G; fn f() { std::fs::read(\"--size\") } }
             #[cfg(all(test, unix))] use clap::Args;
             impl A { #[cfg(test)] fn f() { crate::gpu::g() } }",
        ),
        ("gpu/mod.rs", "use crate::a::A; pub struct G; #[cfg(test)] mod more;"),
    ];
    let tree = tree(&files);
    assert_eq!(rules::circles(&tree), Vec::<String>::new());
    assert_eq!(rules::flags(&tree), Vec::<String>::new());
    assert_eq!(rules::wgpu(&tree), Vec::<String>::new());
    assert_eq!(rules::outer_world(&tree), Vec::<String>::new());
    // What is compiled unless testing does count.
    let root = [("lib.rs", "mod a;"), ("a.rs", "#[cfg(not(test))] use wgpu::Limits;")];
    assert_eq!(rules::wgpu(&self::tree(&root)).len(), 1);
}

#[test]
fn arrows_upwards_are_found() {
    let files = [
        ("lib.rs", "pub mod error; pub mod gpu; pub mod ops; pub mod tape; pub mod picture;"),
        ("error.rs", "pub struct Error;"),
        ("gpu/mod.rs", "mod kernel; pub use kernel::Kernel;"),
        ("gpu/kernel.rs", "use crate::error::Error; pub struct Kernel;\nuse crate::ops::Op;"),
        ("ops/mod.rs", "use crate::gpu::Kernel; pub struct Op(crate::tape::Tape);"),
        ("tape/mod.rs", "pub use crate::gpu::Kernel; pub struct Tape;\nuse crate::picture::P;"),
        ("picture.rs", "pub struct P;"),
    ];
    let tree = tree(&files);
    let gpu = "src/gpu/kernel.rs:2: gpu may not use ops";
    let tape = "src/tape/mod.rs:2: tape may not use picture";
    assert_eq!(rules::rooms(&tree), [gpu, tape]);
    assert_eq!(rules::room_alone(&tree, "gpu"), [gpu]);
    assert_eq!(rules::room_alone(&tree, "tape"), [tape]);
}

#[test]
fn nobody_needs_the_root_and_new_rooms_are_asked_about() {
    let files = [
        ("lib.rs", "pub mod gpu; pub mod attic; pub fn list() { gpu::f() }"),
        ("gpu.rs", "pub fn f() { crate::list() }"),
        ("attic.rs", ""),
    ];
    let found = rules::rooms(&tree(&files));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("src/attic: no such room"), "{found:?}");
    assert_eq!(found[1], "src/gpu.rs:1: gpu may not use lib");
}

#[test]
fn the_binary_sees_the_library_by_its_name() {
    let files = [
        ("lib.rs", "pub mod tape; pub mod session; pub use session::Session;"),
        ("tape.rs", "pub struct Tape;"),
        ("session.rs", "pub struct Session;"),
        ("main.rs", "mod cli;\nfn main() { cli::main() }"),
        ("cli/mod.rs", "use impasto::Session;\nuse impasto::tape::Tape;\npub fn main() {}"),
    ];
    let found = ["src/cli/mod.rs:2: cli may not use tape"];
    assert_eq!(rules::rooms(&tree(&files)), found);
}

#[test]
fn wgpu_is_found_however_it_is_named() {
    for text in [
        "use wgpu::Limits;",
        "use ::wgpu as w;",
        "use {std::fmt, wgpu::{self, Limits}};",
        "fn f() -> wgpu::Limits { todo!() }",
        "fn f() { assert_eq!(1, wgpu::Limits::default().max_bindings) }",
        "use crate::gpu::Limits;",
        "use crate::gpu::*; fn f(limits: Limits) {}",
    ] {
        let gpu = ("gpu/mod.rs", "pub use wgpu::Limits;");
        let found = rules::wgpu(&tree(&[("lib.rs", "mod a;\nmod gpu;"), gpu, ("a.rs", text)]));
        assert!(!found.is_empty() && found.iter().all(|f| f.starts_with("src/a.rs:1")), "{text}");
    }
}

#[test]
fn flags_are_found_anywhere_in_a_string() {
    let root = ("lib.rs", "mod a; mod cli;");
    let cli = ("cli/mod.rs", "const FLAG: &str = \"--size\";");
    for text in [
        "const FLAG: &str = \"--size\";",
        "fn f() { format!(\"take a smaller --size, {}\", 1) }",
        "#[error(\"{0}: see --help\")] struct E;",
        "const FLAG: &str = r#\"(--tile)\"#;",
    ] {
        let found = rules::flags(&tree(&[root, cli, ("a.rs", text)]));
        assert!(found.len() == 1 && found[0].starts_with("src/a.rs:1: names a flag"), "{text}");
    }
    let fine = "const RULE: &str = \"a -- b, ----, x--y, -2--1\";";
    assert!(rules::flags(&tree(&[root, cli, ("a.rs", fine)])).is_empty());
}

#[test]
fn files_sockets_and_terminals_are_found() {
    let root = ("lib.rs", "mod a;");
    let main = ("main.rs", "mod cli; fn main() -> std::process::ExitCode { todo!() }");
    let cli = ("cli.rs", "use clap::Args; use std::fs::File;");
    for text in [
        "use std::{fmt, fs::{self, File}};",
        "use std::{io, net};",
        "fn f() { std::process::exit(1) }",
        "use std as system; fn f() { system::fs::read(\"a\") }",
        "#[derive(clap::Args)] struct A;",
        "fn f() { pollster::block_on(async {}) }",
        "use tempfile::NamedTempFile;",
    ] {
        let found = rules::outer_world(&tree(&[root, main, cli, ("a.rs", text)]));
        assert!(!found.is_empty() && found.iter().all(|f| f.starts_with("src/a.rs:1")), "{text}");
    }
    let fine = "use std::path::Path; use std::{fmt, io::Write}; mod fs { pub fn f() {} }";
    let main = ("main.rs", "mod cli; fn main() {}");
    assert!(rules::outer_world(&tree(&[root, main, cli, ("a.rs", fine)])).is_empty());
}

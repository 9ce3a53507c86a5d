//! The crate's files as rustc sees them: which module is which file, what each file names, and in which file that is
//! defined. Re-exports are followed to the file that defines the thing, so that a way through a `mod.rs` makes no
//! circle where there is none; a `mod.rs` that only declares and re-exports its children imports nothing.
//!
//! Paths are all it sees. A method called on a value makes no arrow: the caller has the value's type by a path, or
//! from someone who has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::Item;

use crate::names::{self, Names};
use crate::rules::room;

/// The name by which the binary calls the library.
const LIBRARY: &str = "impasto";

/// A file by its path below `src`, with slashes.
pub type File = String;
type Module = usize;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub file: File,
    pub line: usize,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "src/{}:{}", self.file, self.line)
    }
}

/// What the files name.
#[derive(Default)]
pub struct Tree {
    /// The files that are compiled outside of tests.
    pub files: BTreeSet<File>,
    /// Which file uses which, with the first place where it does.
    pub arrows: BTreeMap<(File, File), At>,
    /// Which file uses which room, by the name that it says: what a room re-exports is its own word.
    pub words: BTreeMap<(File, String), At>,
    /// What is named of other crates, re-exports followed: `["wgpu", "Limits"]`.
    pub outside: BTreeSet<(At, Vec<String>)>,
    /// String literals.
    pub strings: Vec<(At, String)>,
}

/// What a name stands for in a module.
enum Entry {
    Module(Module),
    /// Something that this file defines.
    Item(File),
    Import(Vec<String>),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(Module),
    Item(File),
    Outside(Vec<String>),
}

/// The names that are being looked up: whether before a `::`.
type Seen = BTreeSet<(Module, String, bool)>;

struct Scope {
    file: File,
    root: Module,
    parent: Option<Module>,
    entries: BTreeMap<String, Vec<Entry>>,
    globs: Vec<Vec<String>>,
    /// Macros that the text below can use without a path.
    macros: BTreeSet<String>,
    names: Vec<Names>,
}

impl Tree {
    /// Reads a crate's folder of sources.
    pub fn read(src: &Path) -> Tree {
        let mut sources = BTreeMap::new();
        let mut folders = vec![src.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let name = path.strip_prefix(src).expect("below src").to_string_lossy();
                    let text = std::fs::read_to_string(&path).expect("a source file");
                    sources.insert(name.replace('\\', "/"), text);
                }
            }
        }
        Tree::of(&sources)
    }

    /// Reads `lib.rs` and `main.rs`, and every file that these declare.
    pub fn of(sources: &BTreeMap<File, String>) -> Tree {
        let mut crates = Crates { sources, scopes: Vec::new(), library: None };
        for root in ["lib.rs", "main.rs"].into_iter().filter(|root| sources.contains_key(*root)) {
            let module = crates.add(root, None);
            crates.load(module, "");
            if root == "lib.rs" {
                crates.library = Some(module);
            }
        }
        crates.tree()
    }
}

struct Crates<'s> {
    sources: &'s BTreeMap<File, String>,
    scopes: Vec<Scope>,
    library: Option<Module>,
}

/// Reading.
impl Crates<'_> {
    fn add(&mut self, file: &str, parent: Option<Module>) -> Module {
        let module = self.scopes.len();
        self.scopes.push(Scope {
            file: file.into(),
            root: parent.map_or(module, |parent| self.scopes[parent].root),
            parent,
            entries: BTreeMap::new(),
            globs: Vec::new(),
            macros: BTreeSet::new(),
            names: Vec::new(),
        });
        module
    }

    fn define(&mut self, module: Module, name: String, entry: Entry) {
        self.scopes[module].entries.entry(name).or_default().push(entry);
    }

    /// Reads a module's file. The files of its children lie in `folder`.
    fn load(&mut self, module: Module, folder: &str) {
        let file = &self.scopes[module].file;
        let parsed = syn::parse_file(&self.sources[file]).unwrap_or_else(|e| panic!("{file}: {e}"));
        if !names::for_tests(&parsed.attrs) {
            self.scopes[module].names.push(names::of_attributes(&parsed.attrs));
            self.enter(module, folder, &parsed.items);
        }
    }

    fn enter(&mut self, module: Module, folder: &str, items: &[Item]) {
        for item in items.iter().filter(|item| !names::for_tests(names::attributes(item))) {
            self.scopes[module].names.push(names::of_item(item));
            match item {
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    let below = format!("{folder}{name}/");
                    let child = if let Some((_, items)) = &item.content {
                        let file = self.scopes[module].file.clone();
                        let child = self.add(&file, Some(module));
                        self.enter(child, &below, items);
                        child
                    } else {
                        let files = [format!("{folder}{name}.rs"), format!("{below}mod.rs")];
                        let file = files.iter().find(|file| self.sources.contains_key(*file));
                        let child =
                            self.add(file.unwrap_or_else(|| panic!("no {files:?}")), Some(module));
                        self.load(child, &below);
                        child
                    };
                    self.define(module, name, Entry::Module(child));
                }
                Item::Use(item) => {
                    for import in names::imports(item) {
                        match import.name {
                            Some(name) => self.define(module, name, Entry::Import(import.path)),
                            None => self.scopes[module].globs.push(import.path),
                        }
                    }
                }
                Item::Macro(item) => self.define_macro(module, item),
                item => {
                    if let Some(name) = names::defined(item) {
                        let file = self.scopes[module].file.clone();
                        self.define(module, name, Entry::Item(file));
                    }
                }
            }
        }
    }

    /// `macro_rules!`: with `#[macro_export]` at the crate's root, otherwise for the text below it.
    fn define_macro(&mut self, module: Module, item: &syn::ItemMacro) {
        let Some(name) = item.ident.as_ref().map(ToString::to_string) else { return };
        self.scopes[module].macros.insert(name.clone());
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            let (root, file) = (self.scopes[module].root, self.scopes[module].file.clone());
            self.define(root, name, Entry::Item(file));
        }
    }
}

/// Looking up.
impl Crates<'_> {
    /// What a name stands for in a module, crates aside. Before a `::` it is a module, where there is one of that
    /// name. `seen` ends circles of imports.
    fn look_up(&self, module: Module, name: &str, prefix: bool, seen: &mut Seen) -> Vec<Target> {
        if !seen.insert((module, name.into(), prefix)) {
            return Vec::new();
        }
        let scope = &self.scopes[module];
        let entries = scope.entries.get(name).map_or(&[][..], Vec::as_slice);
        let is_module = |entry: &&Entry| matches!(entry, Entry::Module(_));
        let only_modules = prefix && entries.iter().any(|entry| is_module(&entry));
        let mut found = Vec::new();
        for entry in entries.iter().filter(|entry| !only_modules || is_module(entry)) {
            match entry {
                Entry::Module(child) => found.push(Target::Module(*child)),
                Entry::Item(file) => found.push(Target::Item(file.clone())),
                Entry::Import(path) => found.extend(self.follow(module, path, true, seen)),
            }
        }
        for glob in scope.globs.iter().filter(|_| entries.is_empty()) {
            for target in self.follow(module, glob, true, seen) {
                if let Target::Module(other) = target {
                    found.extend(self.look_up(other, name, prefix, seen));
                }
            }
        }
        if found.is_empty() && scope.macros.contains(name) {
            found.push(Target::Item(scope.file.clone()));
        }
        found
    }

    /// What a path leads to, from a module. A single name that nothing here has is a crate only in an import.
    fn follow(&self, from: Module, path: &[String], import: bool, seen: &mut Seen) -> Vec<Target> {
        let (first, mut rest) = path.split_first().expect("a path has a segment");
        let mut at = match first.as_str() {
            "" => return self.of_crate(from, rest, seen),
            "crate" => vec![Target::Module(self.scopes[from].root)],
            "self" => vec![Target::Module(from)],
            "super" => vec![Target::Module(self.scopes[from].parent.expect("a parent"))],
            name => match self.look_up(from, name, !rest.is_empty(), seen) {
                found if !found.is_empty() => found,
                _ if rest.is_empty() && !import => return self.textual_macro(from, name),
                _ => return self.of_crate(from, path, seen),
            },
        };
        while let Some((name, after)) = rest.split_first() {
            let mut next = BTreeSet::new();
            for target in at {
                match target {
                    // `super` may come several times.
                    Target::Module(module) if name == "super" => {
                        next.insert(Target::Module(self.scopes[module].parent.expect("a parent")));
                    }
                    Target::Module(module) => {
                        let found = self.look_up(module, name, !after.is_empty(), seen);
                        // What this test can't find (a macro made it) is where it was looked for.
                        let lost = Target::Item(self.scopes[module].file.clone());
                        let lost = found.is_empty().then_some(lost);
                        next.extend(found.into_iter().chain(lost));
                    }
                    // A variant, an associated item.
                    Target::Item(file) => drop(next.insert(Target::Item(file))),
                    Target::Outside(path) => {
                        next.insert(Target::Outside([path, vec![name.clone()]].concat()));
                    }
                }
            }
            (at, rest) = (next.into_iter().collect(), after);
        }
        at
    }

    /// A path that starts with a crate's name.
    fn of_crate(&self, from: Module, path: &[String], seen: &mut Seen) -> Vec<Target> {
        match (path, self.library) {
            ([first, rest @ ..], Some(library))
                if first == LIBRARY && self.scopes[from].root != library =>
            {
                let inside = [&["crate".into()], rest].concat();
                self.follow(library, &inside, true, seen)
            }
            _ => vec![Target::Outside(path.to_vec())],
        }
    }

    /// A macro that a module above defines for the text below it.
    fn textual_macro(&self, from: Module, name: &str) -> Vec<Target> {
        let above = std::iter::successors(Some(from), |module| self.scopes[*module].parent);
        let mut found = above.filter(|module| self.scopes[*module].macros.contains(name));
        found
            .next()
            .map(|module| Target::Item(self.scopes[module].file.clone()))
            .into_iter()
            .collect()
    }

    /// The room that a path names, or the import that it goes through; `None` for what is near.
    fn said_room(&self, module: Module, path: &[String]) -> Option<String> {
        match path {
            [first, second, ..] if first == "crate" || first == LIBRARY => {
                let root = match self.library {
                    Some(library) if first == LIBRARY => library,
                    _ => self.scopes[module].root,
                };
                let entries = self.scopes[root].entries.get(second)?;
                let is_room = entries.iter().any(|entry| matches!(entry, Entry::Module(_)));
                is_room.then(|| second.clone())
            }
            [first, ..] => {
                let entries = self.scopes[module].entries.get(first)?;
                entries.iter().find_map(|entry| match entry {
                    Entry::Import(import) if import.first() != Some(first) => {
                        self.said_room(module, import)
                    }
                    _ => None,
                })
            }
            [] => None,
        }
    }

    /// Whether all that a file has lies below a module.
    fn is_below(&self, file: &str, module: Module) -> bool {
        let above =
            |from: Module| std::iter::successors(Some(from), |module| self.scopes[*module].parent);
        let mut modules = (0..self.scopes.len()).filter(|other| self.scopes[*other].file == file);
        modules.all(|other| above(other).any(|above| above == module))
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for (module, scope) in self.scopes.iter().enumerate() {
            tree.files.insert(scope.file.clone());
            let at = |line: usize| At { file: scope.file.clone(), line };
            let mut note = |line: usize, target: Target, shown: bool, path: &[String]| match target
            {
                Target::Item(file) => {
                    // Who re-exports a child's item doesn't use it.
                    if file != scope.file && !(shown && self.is_below(&file, module)) {
                        let said = self.said_room(module, path);
                        let word = said.unwrap_or_else(|| room(&file).to_owned());
                        let first =
                            tree.words.entry((scope.file.clone(), word)).or_insert(at(line));
                        *first = first.clone().min(at(line));
                        let first =
                            tree.arrows.entry((scope.file.clone(), file)).or_insert(at(line));
                        *first = first.clone().min(at(line));
                    }
                }
                // Who imports a module uses what it names of it: the paths say what that is.
                Target::Module(_) => {}
                Target::Outside(path) => drop(tree.outside.insert((at(line), path))),
            };
            for names in &scope.names {
                for (line, path) in &names.paths {
                    for target in self.follow(module, path, false, &mut BTreeSet::new()) {
                        note(*line, target, false, path);
                    }
                }
                for import in &names.imports {
                    for target in self.follow(module, &import.path, true, &mut BTreeSet::new()) {
                        match (target, &import.name) {
                            (Target::Module(other), None) => {
                                note(
                                    import.line,
                                    Target::Item(self.scopes[other].file.clone()),
                                    import.shown,
                                    &import.path,
                                );
                            }
                            (target, _) => note(import.line, target, import.shown, &import.path),
                        }
                    }
                }
                let strings = names.strings.iter();
                tree.strings.extend(strings.map(|(line, text)| (at(*line), text.clone())));
            }
        }
        tree
    }
}

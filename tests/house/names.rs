//! What a piece of Rust names: paths, imports and string literals. Comments and what only tests compile are no part
//! of it; of attributes all but the documentation is.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ItemUse, Meta, UseTree, Visibility};

/// What is named, each with its line.
#[derive(Default)]
pub struct Names {
    pub paths: Vec<(usize, Vec<String>)>,
    pub imports: Vec<Import>,
    pub strings: Vec<(usize, String)>,
}

/// A leaf of a `use`.
pub struct Import {
    pub line: usize,
    /// As it is written; an empty first segment stands for a leading `::`.
    pub path: Vec<String>,
    /// The name that it gets here; none for `*`.
    pub name: Option<String>,
    /// Whether others can import it from here.
    pub shown: bool,
}

/// What an item names. A module names nothing itself: its items do.
pub fn of_item(item: &syn::Item) -> Names {
    let mut names = Names::default();
    if !matches!(item, syn::Item::Mod(_)) {
        names.visit_item(item);
    }
    names
}

/// What the attributes at the top of a file name.
pub fn of_attributes(attributes: &[Attribute]) -> Names {
    let mut names = Names::default();
    attributes.iter().for_each(|attribute| names.visit_attribute(attribute));
    names
}

/// Whether it is compiled for tests only: `#[cfg(test)]` or `#[cfg(all(test, …))]`.
pub fn for_tests(attributes: &[Attribute]) -> bool {
    fn wants_test(condition: &Meta) -> bool {
        match condition {
            Meta::List(list) if list.path.is_ident("all") => {
                let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
                list.parse_args_with(parser).is_ok_and(|all| all.iter().any(wants_test))
            }
            other => other.path().is_ident("test"),
        }
    }
    let cfgs = attributes.iter().filter(|a| a.path().is_ident("cfg"));
    cfgs.filter_map(|a| a.parse_args().ok()).any(|condition: Meta| wants_test(&condition))
}

/// The attributes of any item; none of what syn does not know.
pub fn attributes(item: &syn::Item) -> &[Attribute] {
    use syn::Item::*;
    match item {
        Const(i) => &i.attrs,
        Enum(i) => &i.attrs,
        ExternCrate(i) => &i.attrs,
        Fn(i) => &i.attrs,
        Impl(i) => &i.attrs,
        Macro(i) => &i.attrs,
        Mod(i) => &i.attrs,
        Static(i) => &i.attrs,
        Struct(i) => &i.attrs,
        Trait(i) => &i.attrs,
        Type(i) => &i.attrs,
        Union(i) => &i.attrs,
        Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The names that an item defines in its module; those of imports and modules aside.
pub fn defined(item: &syn::Item) -> Option<String> {
    use syn::Item::*;
    let ident = match item {
        Const(i) => &i.ident,
        Enum(i) => &i.ident,
        Fn(i) => &i.sig.ident,
        Macro(i) => i.ident.as_ref()?,
        Static(i) => &i.ident,
        Struct(i) => &i.ident,
        Trait(i) => &i.ident,
        Type(i) => &i.ident,
        Union(i) => &i.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// The leaves of a `use`.
pub fn imports(item: &ItemUse) -> Vec<Import> {
    fn walk(
        tree: &UseTree,
        path: &[String],
        found: &mut dyn FnMut(Span, Vec<String>, Option<String>),
    ) {
        let with = |ident: &syn::Ident| [path, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => walk(&path.tree, &with(&path.ident), found),
            // `use a::{self}` is `use a`.
            UseTree::Name(leaf) if leaf.ident == "self" && !path.is_empty() => {
                found(leaf.ident.span(), path.to_vec(), path.last().cloned());
            }
            UseTree::Name(leaf) => {
                found(leaf.ident.span(), with(&leaf.ident), Some(leaf.ident.to_string()));
            }
            UseTree::Rename(leaf) => {
                let path = if leaf.ident == "self" { path.to_vec() } else { with(&leaf.ident) };
                found(leaf.ident.span(), path, Some(leaf.rename.to_string()));
            }
            UseTree::Glob(leaf) => found(leaf.star_token.spans[0], path.to_vec(), None),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, path, found)),
        }
    }
    let start = if item.leading_colon.is_some() { vec![String::new()] } else { Vec::new() };
    let shown = !matches!(item.vis, Visibility::Inherited);
    let mut leaves = Vec::new();
    walk(&item.tree, &start, &mut |span, path, name| {
        leaves.push(Import { line: span.start().line, path, name, shown });
    });
    leaves
}

impl Names {
    /// Paths and strings of a macro's arguments or body, which syn leaves as tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let colons = |at: usize| {
            let colon =
                |at| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
            colon(at) && colon(at + 1)
        };
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let syn::Lit::Str(text) = syn::Lit::new(literal.clone()) {
                        self.visit_lit_str(&text);
                    }
                }
                TokenTree::Ident(first) => {
                    let field = at > 0
                        && matches!(&tokens[at - 1], TokenTree::Punct(p) if p.as_char() == '.');
                    let mut path = vec![first.to_string()];
                    while colons(at + 1) {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                        path.push(next.to_string());
                        at += 3;
                    }
                    if !field {
                        self.paths.push((first.span().start().line, path));
                    }
                }
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.imports.extend(imports(item));
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let path = vec![String::new(), item.ident.to_string()];
        self.paths.push((item.ident.span().start().line, path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let start = path.leading_colon.map(|_| String::new());
        let segments = path.segments.iter().map(|s| s.ident.to_string());
        if let Some(first) = path.segments.first() {
            let line = first.ident.span().start().line;
            self.paths.push((line, start.into_iter().chain(segments).collect()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone()),
            meta => self.visit_meta(meta),
        }
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.strings.push((text.span().start().line, text.value()));
    }
}

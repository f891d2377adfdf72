//! Arrows point one way: `cli → app → {grpc, web, loops} → engine → {watch, store} → domain`.
//!
//! A file's imports are its `use` trees, the paths in its code, and what its macros are given, with
//! `super` resolved. Tests beside the code may name what they like.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use crate::tree::{Source, none_wrong, rust};

/// Each part of the house and the other parts it may name. What stands in no row may name anything
/// (`main.rs`, `lib.rs`).
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("runtime", &["domain", "telemetry", "config"]),
    ("telemetry", &["domain", "runtime", "config"]),
    ("config", &["domain", "runtime", "telemetry"]),
    // Its codec has bounds.
    ("proto", &["domain"]),
    ("auth", &["domain", "config"]),
    ("store", &["domain", "runtime", "telemetry", "config"]),
    ("watch", &["domain", "runtime", "telemetry", "config"]),
    ("engine", &["watch", "store", "auth", "domain", "runtime", "telemetry", "config"]),
    ("loops", &["engine", "watch", "store", "domain", "runtime", "telemetry", "config"]),
    ("web", &["engine", "watch", "store", "domain", "runtime", "telemetry", "config"]),
    (
        "grpc",
        &["engine", "watch", "store", "auth", "proto", "domain", "runtime", "telemetry", "config"],
    ),
    (
        "app",
        &[
            "grpc",
            "web",
            "loops",
            "engine",
            "watch",
            "store",
            "auth",
            "domain",
            "runtime",
            "telemetry",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "grpc",
            "web",
            "loops",
            "engine",
            "watch",
            "store",
            "auth",
            "proto",
            "domain",
            "runtime",
            "telemetry",
            "config",
        ],
    ),
];

/// Crates (by the beginning of their name) and the only parts that may name them.
const NAMED_ONLY_BY: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("libsqlite3", &["store"]),
    ("tonic", &["grpc", "cli", "proto"]),
    ("prost", &["grpc", "cli", "proto"]),
];

/// What would make the domain impure: crates by the beginning of their name.
const IMPURE_CRATES: &[&str] =
    &["tokio", "async_trait", "futures", "axum", "tower", "http", "hyper", "rand", "tracing"];
/// What would make the domain impure in the standard library.
const IMPURE_STD: &[&str] =
    &["SystemTime", "Instant", "fs", "net", "env", "process", "thread", "io"];

/// The part of the house that a file belongs to: the first name below `src/`.
fn part(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

/// The module a file is, from the root of the crate.
fn module(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut names: Vec<_> = inner.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// What a file names: paths from the root of the crate (beginning with `crate`) or of another one.
#[derive(Default)]
struct Named {
    module: Vec<String>,
    paths: BTreeSet<Vec<String>>,
    is_async: bool,
}

impl Named {
    fn of(source: &Source) -> Self {
        let file = syn::parse_file(&source.text)
            .unwrap_or_else(|error| panic!("{} does not parse: {error}", source.path));
        let mut named = Self { module: module(&source.path), ..Self::default() };
        named.visit_file(&file);
        named
    }

    fn add(&mut self, path: &[String]) {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let path = if ups > 0 {
            let kept = self.module.len().saturating_sub(ups);
            let above = self.module[..kept].iter().cloned();
            std::iter::once("crate".to_owned()).chain(above).chain(path[ups..].to_vec()).collect()
        } else {
            path.to_vec()
        };
        self.paths.insert(path);
    }

    fn add_tree(&mut self, tree: &syn::UseTree, above: &[String]) {
        let with =
            |name: &syn::Ident| above.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.add(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.add(above),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, above);
                }
            }
        }
    }

    /// Paths in what a macro is given, which no parser knows: names joined by `::`.
    fn add_text(&mut self, text: &str) {
        let joined = text.replace(" ::", "::").replace(":: ", "::");
        self.is_async |= joined.split_whitespace().any(|word| word == "async");
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for word in joined.split(|c| !is_name(c)).filter(|word| word.contains("::")) {
            let names: Vec<_> = word.split("::").map(str::to_owned).collect();
            self.add(&names);
        }
    }

    /// The parts of the house it names.
    fn parts(&self) -> BTreeSet<&str> {
        let inner = self.paths.iter().filter(|path| path.len() > 1 && path[0] == "crate");
        inner.map(|path| path[1].as_str()).collect()
    }

    /// The other crates it names, and some local names that look alike.
    fn crates(&self) -> BTreeSet<&str> {
        self.paths.iter().filter_map(|path| path.first()).map(String::as_str).collect()
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_for_tests(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_text(&item.tokens.to_string());
        visit::visit_macro(self, item);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.add_text(&list.tokens.to_string());
        visit::visit_meta_list(self, list);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.is_async |= signature.asyncness.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.is_async = true;
        visit::visit_expr_async(self, block);
    }
}

fn files() -> Vec<(Source, Named)> {
    let code = rust("src").into_iter().filter(|source| !source.is_test());
    code.map(|source| {
        let named = Named::of(&source);
        (source, named)
    })
    .collect()
}

#[test]
fn each_part_names_only_what_lies_below_it() {
    let mut wrong = Vec::new();
    let parts: BTreeSet<_> = MAY_NAME.iter().map(|(part, _)| *part).collect();
    for (source, named) in files() {
        let own = part(&source.path);
        let Some((_, below)) = MAY_NAME.iter().find(|(part, _)| *part == own) else {
            if !matches!(own, "main" | "lib") {
                wrong.push(format!("{}: give `{own}` a row in MAY_NAME", source.path));
            }
            continue;
        };
        for other in named.parts() {
            if other != own && parts.contains(other) && !below.contains(&other) {
                wrong.push(format!("{}: `{own}` must not name `{other}`", source.path));
            }
        }
    }
    none_wrong(&wrong, "arrows point one way");
}

#[test]
fn databases_and_wires_are_named_in_one_place() {
    let mut wrong = Vec::new();
    for (source, named) in files() {
        let own = part(&source.path);
        for (prefix, parts) in NAMED_ONLY_BY {
            let names = named.crates();
            let found = names.iter().find(|name| name.starts_with(prefix));
            if let Some(name) = found.filter(|_| !parts.contains(&own)) {
                wrong.push(format!("{}: `{name}` is only for {}", source.path, parts.join(", ")));
            }
        }
    }
    none_wrong(&wrong, "what a crate is wrapped for");
}

#[test]
fn the_domain_is_pure() {
    let mut wrong = Vec::new();
    for (source, named) in files().into_iter().filter(|(source, _)| part(&source.path) == "domain")
    {
        if named.is_async {
            wrong.push(format!("{}: async", source.path));
        }
        for path in &named.paths {
            let is_impure = IMPURE_CRATES.iter().any(|prefix| path[0].starts_with(prefix))
                || path[0] == "std" && path.iter().any(|name| IMPURE_STD.contains(&name.as_str()));
            if is_impure {
                wrong.push(format!("{}: {}", source.path, path.join("::")));
            }
        }
    }
    none_wrong(&wrong, "no async, no I/O, no clock, no chance in domain");
}

#[test]
fn imports_are_found_however_they_are_written() {
    let text = "use crate::{engine::Error, web}; use super::super::loops::x;\n\
        fn f() { select! { _ = crate::watch::f() => {} } }\n\
        #[derive(sqlx::FromRow)] struct S(crate::auth::Caller);\n\
        #[cfg(test)] mod tests { use crate::cli; }";
    let named = Named::of(&Source { path: "src/store/rows.rs".to_owned(), text: text.to_owned() });
    let parts: Vec<_> = named.parts().into_iter().collect();
    assert_eq!(parts, ["auth", "engine", "loops", "watch", "web"]);
    assert!(named.crates().contains("sqlx"));
}

//! How files are cut.

use std::collections::BTreeSet;

use crate::tree::{none_wrong, rust, sources};

/// Past this many lines a file has a second noun.
const LINES_MAX: usize = 400;
/// Past this many lines a module doc is a document.
const MODULE_DOC_LINES_MAX: usize = 25;

#[test]
fn a_file_is_about_one_noun() {
    let mut wrong = Vec::new();
    for source in rust("src") {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines, at most {LINES_MAX}", source.path));
        }
    }
    none_wrong(&wrong, "what is the second noun?");
}

#[test]
fn every_module_says_what_it_owns() {
    let mut wrong = Vec::new();
    for source in rust("src") {
        let doc = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        if doc == 0 && source.path.ends_with("/mod.rs") && !source.is_test() {
            wrong.push(format!("{}: no module doc", source.path));
        }
        if doc > MODULE_DOC_LINES_MAX {
            wrong.push(format!("{}: {doc} lines of module doc", source.path));
        }
    }
    none_wrong(&wrong, "a module doc at each mod.rs, at most 25 lines");
}

fn migrations(engine: &str) -> BTreeSet<String> {
    let folder = format!("migrations/{engine}/");
    let files = sources(&folder).into_iter();
    files.map(|source| source.path.trim_start_matches(&folder).to_owned()).collect()
}

#[test]
fn both_databases_have_the_same_migrations() {
    let (sqlite, postgres) = (migrations("sqlite"), migrations("postgres"));
    if !postgres.is_empty() {
        assert_eq!(sqlite, postgres);
    }
    for (index, name) in sqlite.iter().enumerate() {
        let number = format!("{:04}_", index + 1);
        assert!(name.starts_with(&number), "{name} does not start with {number}");
    }
}

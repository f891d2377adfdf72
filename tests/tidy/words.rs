//! What must not be left lying about.

use std::path::Path;

use crate::tree::{Source, none_wrong, sources};

/// Words that have no place in Rust code.
const CODE: &[(&str, &str)] = &[
    ("todo!", "finish it"),
    ("unimplemented!", "finish it"),
    ("dbg!", "log it or drop it"),
    ("#[ignore", "a test runs or is gone"),
    ("thread::sleep", "wait for a condition"),
];

/// Words that have no place in any file.
const ANYWHERE: &[(&str, &str)] = &[
    ("/work/", "a path of somebody's machine"),
    ("/root/", "a path of somebody's machine"),
    ("/home/", "a path of somebody's machine"),
    ("issue #", "say what and why here"),
    ("registry.npmjs", "tools know their registry"),
    ("pypi.org", "tools know their registry"),
    ("static.crates.io", "tools know their registry"),
    ("index.crates.io", "tools know their registry"),
    ("proxy.golang.org", "tools know their registry"),
    ("artifactory", "tools know their registry"),
];

/// Files that have to say such words.
fn must_say_so(source: &Source) -> bool {
    let is_lock = Path::new(&source.path).extension().is_some_and(|e| e == "lock");
    is_lock || source.path.starts_with("tests/tidy/") || source.path == ".deny.toml"
}

fn found(source: &Source, words: &[(&str, &str)], wrong: &mut Vec<String>) {
    for (number, line) in source.text.lines().enumerate() {
        for (word, instead) in words.iter().filter(|(word, _)| line.contains(word)) {
            wrong.push(format!("{}:{}: `{word}`: {instead}", source.path, number + 1));
        }
    }
}

#[test]
fn nothing_is_left_lying_about() {
    let mut wrong = Vec::new();
    for source in sources("").iter().filter(|source| !must_say_so(source)) {
        found(source, ANYWHERE, &mut wrong);
        if Path::new(&source.path).extension().is_some_and(|e| e == "rs") {
            found(source, CODE, &mut wrong);
        }
    }
    none_wrong(&wrong, "banned words");
}

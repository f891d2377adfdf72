//! The files of the house.

use std::fs;
use std::path::{Path, PathBuf};

/// What is made by tools and is not the house's to tidy.
const NOT_OURS: &[&str] = &["target", "node_modules", "__pycache__"];

/// A text file with its path from the root of the tree, in forward slashes.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether it is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below `folder` (empty for the root), sorted by path; none if it does not exist.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    let mut sources: Vec<_> = paths
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let path = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy();
            Some(Source { path: path.replace('\\', "/"), text })
        })
        .collect();
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources
}

/// Every Rust file below `folder`.
pub(crate) fn rust(folder: &str) -> Vec<Source> {
    let is_rust = |source: &Source| Path::new(&source.path).extension().is_some_and(|e| e == "rs");
    sources(folder).into_iter().filter(is_rust).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // `.ci` is the only hidden folder with a hand in the house.
        let is_hidden = name.starts_with('.') && name != ".ci";
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !is_hidden && !NOT_OURS.contains(&&*name) => {
                collect(&entry.path(), paths);
            }
            Ok(kind) if kind.is_file() && name != ".git" => paths.push(entry.path()),
            _ => {}
        }
    }
}

/// Fails with one line for each thing that is wrong.
pub(crate) fn none_wrong(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

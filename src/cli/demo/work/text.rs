//! Counting lines and words. Nobody knows beforehand how many lines there are: the total stays unset.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Labour, Piece, Problem, Shelf};

/// A count over the first files of the shelf.
pub struct Count {
    shelf: Arc<Shelf>,
    next: usize,
    files: usize,
    lines: usize,
    words: usize,
}

impl Count {
    pub fn new(shelf: &Arc<Shelf>, files: usize) -> Self {
        Self { shelf: Arc::clone(shelf), next: 0, files, lines: 0, words: 0 }
    }
}

impl Labour for Count {
    fn total(&self) -> Option<u64> {
        None
    }

    fn unit(&self) -> &'static str {
        "lines"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        if self.next >= self.files {
            return Ok(None);
        }
        let content = self.shelf.read(self.next)?;
        let text = String::from_utf8_lossy(&content);
        let (lines, words) = (text.lines().count(), text.split_whitespace().count());
        let about = self.shelf.name(self.next);
        self.next += 1;
        self.lines += lines;
        self.words += words;
        let counter = Some(("words", words as u64));
        Ok(Some(Piece { items: lines as u64, about, step: None, counter }))
    }

    fn result(&self) -> Value {
        json!({"files": self.files, "lines": self.lines, "words": self.words})
    }
}

//! Work on whole files: checking them against their checksums, and compressing them.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::shelf::sum;
use super::{Labour, Piece, Problem, Shelf};

/// The files still to do, one after the other.
struct Row {
    shelf: Arc<Shelf>,
    next: usize,
    end: usize,
    total: usize,
}

impl Row {
    fn new(shelf: &Arc<Shelf>, from: usize, files: usize) -> Self {
        Self { shelf: Arc::clone(shelf), next: from, end: from + files, total: files }
    }

    fn take(&mut self) -> Option<usize> {
        let number = self.next;
        self.next += 1;
        (number < self.end).then_some(number)
    }
}

/// Reads files and holds each against its checksum.
pub struct Hash {
    row: Row,
    bytes: usize,
}

impl Hash {
    pub fn new(shelf: &Arc<Shelf>, from: usize, files: usize) -> Self {
        Self { row: Row::new(shelf, from, files), bytes: 0 }
    }
}

impl Labour for Hash {
    fn total(&self) -> Option<u64> {
        Some(self.row.total as u64)
    }

    fn unit(&self) -> &'static str {
        "files"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        let Some(number) = self.row.take() else { return Ok(None) };
        let content = self.row.shelf.read(number)?;
        check(&self.row.shelf, number, &content)?;
        self.bytes += content.len();
        let counter = Some(("bytes_read", content.len() as u64));
        Ok(Some(Piece {
            items: 1,
            about: self.row.shelf.name(number),
            counter,
            ..Piece::default()
        }))
    }

    fn result(&self) -> Value {
        json!({"files": self.row.total, "bytes": self.bytes})
    }
}

/// Compresses files, each into one beside it.
pub struct Compress {
    row: Row,
    into: PathBuf,
    before: usize,
    after: usize,
}

impl Compress {
    pub fn new(shelf: &Arc<Shelf>, from: usize, files: usize) -> Result<Self, Problem> {
        let into = shelf.folder().join(format!("compressed-{from}"));
        std::fs::create_dir_all(&into).map_err(|error| Problem::io("make a folder", &error))?;
        Ok(Self { row: Row::new(shelf, from, files), into, before: 0, after: 0 })
    }
}

impl Labour for Compress {
    fn total(&self) -> Option<u64> {
        Some(self.row.total as u64)
    }

    fn unit(&self) -> &'static str {
        "files"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        let Some(number) = self.row.take() else { return Ok(None) };
        let name = self.row.shelf.name(number);
        let content = self.row.shelf.read(number)?;
        let failed = |error| Problem::io(&format!("compress {name}"), &error);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&content).map_err(failed)?;
        let packed = encoder.finish().map_err(failed)?;
        std::fs::write(self.into.join(format!("{name}.gz")), &packed).map_err(failed)?;
        self.before += content.len();
        self.after += packed.len();
        let counter = Some(("bytes_saved", content.len().saturating_sub(packed.len()) as u64));
        Ok(Some(Piece { items: 1, about: name, counter, ..Piece::default() }))
    }

    fn result(&self) -> Value {
        json!({"files": self.row.total, "bytes_before": self.before, "bytes_after": self.after})
    }
}

/// Refuses content that is not what was made.
///
/// # Errors
///
/// Its checksum is another.
pub fn check(shelf: &Shelf, number: usize, content: &[u8]) -> Result<(), Problem> {
    let (found, wanted) = (sum(content), shelf.sum(number));
    if found == wanted {
        return Ok(());
    }
    let name = shelf.name(number);
    let message =
        format!("{name} is damaged: SHA-256 {}… instead of {}…", &found[..8], &wanted[..8]);
    Err(Problem { code: "CHECKSUM_MISMATCH", message, retry: true })
}

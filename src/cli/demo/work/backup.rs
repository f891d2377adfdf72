//! A backup in three steps: copy, read the copies again and hold them against their checksums, write the list.
//!
//! With `bad_block` one byte of that copy is turned over after it was written, once, as a bad disk would do it. The
//! check then finds it, throws the copy away and fails; the next attempt copies that file again.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::files::check;
use super::{Labour, Piece, Problem, Shelf};

/// Copy, check, list.
const STEPS: i32 = 3;

/// A backup of the first files of the shelf.
pub struct Backup {
    shelf: Arc<Shelf>,
    into: PathBuf,
    files: usize,
    done: usize,
    bad_block: Option<usize>,
    kept: usize,
}

impl Backup {
    pub fn new(
        shelf: &Arc<Shelf>,
        name: &str,
        files: usize,
        bad_block: Option<usize>,
    ) -> Result<Self, Problem> {
        // The name comes from a payload: it must not lead out of the folder.
        let safe = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        if !safe || name.is_empty() {
            let message = format!("{name:?} is no name for a backup");
            return Err(Problem { code: "BAD_PAYLOAD", message, retry: false });
        }
        let into = shelf.folder().join(name);
        std::fs::create_dir_all(&into).map_err(|error| Problem::io("make a folder", &error))?;
        // A copy that was damaged once was thrown away by the attempt that found it.
        let bad_block = bad_block.filter(|_| !into.join("damaged").exists());
        Ok(Self { shelf: Arc::clone(shelf), into, files, done: 0, bad_block, kept: 0 })
    }

    fn copy_of(&self, number: usize) -> PathBuf {
        self.into.join(format!("{number:04}-{}", self.shelf.name(number)))
    }

    /// Copies a file, unless an earlier attempt did.
    fn copy(&mut self, number: usize) -> Result<(), Problem> {
        let copy = self.copy_of(number);
        if copy.exists() {
            self.kept += 1;
            return Ok(());
        }
        let mut content = self.shelf.read(number)?;
        let failed = |error| Problem::io(&format!("copy {}", self.shelf.name(number)), &error);
        if self.bad_block == Some(number) {
            if let Some(byte) = content.last_mut() {
                *byte ^= 1;
            }
            std::fs::write(self.into.join("damaged"), "").map_err(failed)?;
        }
        std::fs::write(&copy, content).map_err(failed)
    }

    /// Holds a copy against its checksum, and throws it away if it is another.
    fn check(&self, number: usize) -> Result<(), Problem> {
        let copy = self.copy_of(number);
        let failed = |error| Problem::io(&format!("check {}", self.shelf.name(number)), &error);
        let content = std::fs::read(&copy).map_err(failed)?;
        check(&self.shelf, number, &content).inspect_err(|_| {
            // If it cannot be thrown away, the next attempt finds it again and fails again.
            drop(std::fs::remove_file(&copy));
        })
    }

    fn list(&self) -> Result<(), Problem> {
        let lines = (0..self.files)
            .map(|number| format!("{}  {}\n", self.shelf.sum(number), self.shelf.name(number)));
        std::fs::write(self.into.join("SHA256SUMS"), lines.collect::<String>())
            .map_err(|error| Problem::io("write the list", &error))
    }
}

impl Labour for Backup {
    fn total(&self) -> Option<u64> {
        Some(self.files as u64 * 2 + 1)
    }

    fn unit(&self) -> &'static str {
        "files"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        let (at, files) = (self.done, self.files);
        let number = at % files.max(1);
        let (step, about) = if at < files {
            self.copy(number)?;
            ((1, STEPS, "copy"), self.shelf.name(number))
        } else if at < files * 2 {
            self.check(number)?;
            ((2, STEPS, "check"), self.shelf.name(number))
        } else if at == files * 2 {
            self.list()?;
            ((3, STEPS, "list"), "SHA256SUMS".to_owned())
        } else {
            return Ok(None);
        };
        self.done += 1;
        Ok(Some(Piece { items: 1, about, step: Some(step), counter: None }))
    }

    fn result(&self) -> Value {
        json!({"files": self.files, "kept_from_an_earlier_attempt": self.kept})
    }
}

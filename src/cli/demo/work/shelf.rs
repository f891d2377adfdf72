//! The files that are worked on: made by the demo, the same on every machine, gone with their folder.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use super::Problem;

/// What the texts are made of.
const WORDS: [&str; 24] = [
    "a", "and", "attempt", "bar", "cancel", "done", "epoch", "file", "half", "in", "job", "lease",
    "of", "progress", "queue", "retry", "runs", "server", "state", "the", "to", "truth", "waits",
    "worker",
];
/// Words in a line.
const LINE_WORDS: usize = 12;
/// Every machine makes the same files.
const SEED: u64 = 0x6a6f_6270;
/// One record in the file to be imported is broken, on purpose: this one.
const BROKEN_RECORD: usize = 17;
/// Records in it.
const RECORDS: usize = 24;

/// A folder of text files, and the checksum each had when it was made.
pub struct Shelf {
    folder: PathBuf,
    sums: Vec<String>,
}

impl Shelf {
    /// Makes `files` files of about `bytes` bytes each in `folder`, and one with records to import.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub fn make(folder: &Path, files: usize, bytes: usize) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut chance = StdRng::seed_from_u64(SEED);
        let mut sums = Vec::with_capacity(files);
        for number in 0..files.max(1) {
            let text = text(&mut chance, bytes);
            std::fs::write(folder.join(name(number)), &text)?;
            sums.push(sum(text.as_bytes()));
        }
        let shelf = Self { folder: folder.to_owned(), sums };
        std::fs::write(shelf.records(), records())?;
        Ok(shelf)
    }

    /// Where everything is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of a file; numbers beyond the last begin again with the first.
    #[must_use]
    pub fn name(&self, number: usize) -> String {
        name(number % self.sums.len())
    }

    /// Where a file is.
    #[must_use]
    pub fn path(&self, number: usize) -> PathBuf {
        self.folder.join(self.name(number))
    }

    /// The checksum the file had when it was made.
    #[must_use]
    pub fn sum(&self, number: usize) -> &str {
        &self.sums[number % self.sums.len()]
    }

    /// The file of records.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.folder.join("records.jsonl")
    }

    /// What is in a file.
    pub fn read(&self, number: usize) -> Result<Vec<u8>, Problem> {
        let path = self.path(number);
        std::fs::read(&path)
            .map_err(|error| Problem::io(&format!("read {}", self.name(number)), &error))
    }
}

fn name(number: usize) -> String {
    format!("file-{number:04}.txt")
}

/// The SHA-256 of the bytes, in hex.
#[must_use]
pub fn sum(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn text(chance: &mut StdRng, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 128);
    while text.len() < bytes {
        for _ in 0..LINE_WORDS {
            text.push_str(WORDS[chance.random_range(0..WORDS.len())]);
            text.push(' ');
        }
        text.pop();
        text.push('\n');
    }
    text
}

fn records() -> String {
    (1..=RECORDS).fold(String::new(), |mut text, number| {
        let broken = if number == BROKEN_RECORD { "," } else { "" };
        let _ = writeln!(text, r#"{{"number":{number},"name":"record {number}"{broken}}}"#);
        text
    })
}

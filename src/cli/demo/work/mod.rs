//! Real work for the demo, item by item.
//!
//! Owns: the kinds of work ([`begin`]) and the files they work on ([`Shelf`]). Every kind does what it says on this
//! machine and counts what it did; it fails when something is truly wrong.
//! Does not own: how fast it goes, and whom it tells.
//! Invariants: an item is small (milliseconds), so that work stops between two of them; nothing outside the shelf's
//! folder is read or written.

mod backup;
mod files;
mod image;
mod import;
mod primes;
mod shelf;
mod text;

use std::io;
use std::sync::Arc;

use serde_json::Value;

pub use primes::CHUNK as PRIMES_CHUNK;
pub use shelf::Shelf;

#[cfg(test)]
mod tests;

/// Work that is under way.
pub trait Labour: Send {
    /// How many items there are; `None` if nobody knows.
    fn total(&self) -> Option<u64>;
    /// What is counted.
    fn unit(&self) -> &'static str;
    /// Does the next piece; `None` if there is nothing left to do.
    ///
    /// # Errors
    ///
    /// What is wrong with the item.
    fn next(&mut self) -> Result<Option<Piece>, Problem>;
    /// What came of it all.
    fn result(&self) -> Value;
}

/// A piece of work that was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// Items in it.
    pub items: u64,
    /// What it was about, for people.
    pub about: String,
    /// The step of the work it belongs to: its number, how many there are, its name.
    pub step: Option<(i32, i32, &'static str)>,
    /// A figure of its own to be summed: its name and what to add.
    pub counter: Option<(&'static str, u64)>,
}

/// Why work cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// A name for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// Whether another try may do better.
    pub retry: bool,
}

impl Problem {
    /// A file that cannot be read or written.
    fn io(doing: &str, error: &io::Error) -> Self {
        Self { code: "IO_ERROR", message: format!("cannot {doing}: {error}"), retry: true }
    }
}

/// Begins the work that a job asks for.
///
/// # Errors
///
/// A type or a payload that this demo does not know.
pub fn begin(shelf: &Arc<Shelf>, kind: &str, payload: &Value) -> Result<Box<dyn Labour>, Problem> {
    let wanted = |name: &str| {
        payload[name].as_u64().and_then(|number| usize::try_from(number).ok()).ok_or_else(|| {
            let message = format!("the payload of a job of type {kind} needs the number {name}");
            Problem { code: "BAD_PAYLOAD", message, retry: false }
        })
    };
    Ok(match kind {
        "files.hash" => Box::new(files::Hash::new(shelf, wanted("from")?, wanted("files")?)),
        "files.compress" => {
            Box::new(files::Compress::new(shelf, wanted("from")?, wanted("files")?)?)
        }
        "files.backup" => {
            let bad = payload["bad_block"].as_u64().and_then(|at| usize::try_from(at).ok());
            let name = payload["name"].as_str().unwrap_or("backup");
            Box::new(backup::Backup::new(shelf, name, wanted("files")?, bad)?)
        }
        "text.count" => Box::new(text::Count::new(shelf, wanted("files")?)),
        "primes.search" => Box::new(primes::Search::new(wanted("from")?, wanted("numbers")?)),
        "image.render" => Box::new(image::Render::new(shelf, wanted("width")?, wanted("rows")?)),
        "records.import" => Box::new(import::Import::new(shelf)?),
        _ => {
            let message = format!("no worker of the demo knows the type {kind}");
            return Err(Problem { code: "UNKNOWN_TYPE", message, retry: false });
        }
    })
}

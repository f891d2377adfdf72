//! How fast this machine works, measured on the very work that is to come.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::work::{self, Problem, Shelf};
use crate::runtime::Clock;

/// The width of the picture.
pub const PICTURE_WIDTH: u64 = 320;
/// What a kind costs if it was not measured: nothing that counts.
const SECONDS_DEFAULT: f64 = 0.000_1;
/// Pieces of each kind that are tried.
const TRIES: u32 = 2;

/// Seconds for a piece of each kind of work.
#[derive(Debug, Clone, Default)]
pub struct Speed(BTreeMap<&'static str, f64>);

impl Speed {
    /// Tries a little of each kind.
    ///
    /// # Errors
    ///
    /// Work that cannot be done here.
    pub fn measure(shelf: &Arc<Shelf>) -> Result<Self, Problem> {
        let kinds: [(&'static str, Value); 5] = [
            ("files.hash", json!({"from": 0, "files": TRIES})),
            ("files.compress", json!({"from": 0, "files": TRIES})),
            ("text.count", json!({"files": TRIES})),
            ("primes.search", json!({"from": 10_000_000, "numbers": 250 * TRIES})),
            ("image.render", json!({"width": PICTURE_WIDTH, "rows": TRIES})),
        ];
        let mut speed = Self::default();
        for (kind, payload) in kinds {
            let mut labour = work::begin(shelf, kind, &payload)?;
            let start = Clock::monotonic();
            let mut pieces = 0_u32;
            while labour.next()?.is_some() {
                pieces += 1;
            }
            let took = Clock::monotonic().duration_since(start).as_secs_f64();
            speed.0.insert(kind, took / f64::from(pieces.max(1)));
        }
        // To copy and to check a file takes about as long as to check it twice.
        speed.0.insert("files.backup", speed.seconds("files.hash") * 2.0);
        Ok(speed)
    }

    /// The same for every kind.
    #[cfg(test)]
    pub fn of(seconds: f64) -> Self {
        let kinds = ["files.hash", "files.compress", "text.count", "primes.search", "image.render"];
        Self(kinds.into_iter().chain(["files.backup"]).map(|kind| (kind, seconds)).collect())
    }

    /// Seconds for a piece.
    #[must_use]
    pub fn seconds(&self, kind: &str) -> f64 {
        self.0.get(kind).copied().unwrap_or(SECONDS_DEFAULT)
    }
}

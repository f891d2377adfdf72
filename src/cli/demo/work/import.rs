//! Reading records, a JSON object a line. One of them is broken: no retry would mend it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Labour, Piece, Problem, Shelf};

/// An import of the shelf's records.
pub struct Import {
    lines: Vec<String>,
    done: usize,
}

impl Import {
    pub fn new(shelf: &Arc<Shelf>) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(shelf.records())
            .map_err(|error| Problem::io("read the records", &error))?;
        Ok(Self { lines: text.lines().map(str::to_owned).collect(), done: 0 })
    }
}

impl Labour for Import {
    fn total(&self) -> Option<u64> {
        Some(self.lines.len() as u64)
    }

    fn unit(&self) -> &'static str {
        "records"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        let Some(line) = self.lines.get(self.done) else { return Ok(None) };
        let number = self.done + 1;
        let record: Value = serde_json::from_str(line).map_err(|error| Problem {
            code: "BAD_RECORD",
            message: format!("record {number} is no JSON: {error}"),
            retry: false,
        })?;
        self.done = number;
        let about = record["name"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Piece { items: 1, about, ..Piece::default() }))
    }

    fn result(&self) -> Value {
        json!({"records": self.done})
    }
}

//! A picture of the Mandelbrot set, row by row, as a PGM file.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Labour, Piece, Problem, Shelf};

/// A point that has not gone after so many rounds belongs to the set.
const ROUNDS: u8 = 120;

/// A picture in the making.
pub struct Render {
    path: PathBuf,
    width: usize,
    rows: usize,
    pixels: Vec<u8>,
    written: bool,
}

impl Render {
    pub fn new(shelf: &Arc<Shelf>, width: usize, rows: usize) -> Self {
        let path = shelf.folder().join(format!("picture-{width}x{rows}.pgm"));
        Self { path, width, rows, pixels: Vec::new(), written: false }
    }

    fn write(&mut self) -> Result<(), Problem> {
        let mut file = format!("P5\n{} {}\n{ROUNDS}\n", self.width, self.rows).into_bytes();
        file.extend_from_slice(&self.pixels);
        std::fs::write(&self.path, file)
            .map_err(|error| Problem::io("write the picture", &error))?;
        self.written = true;
        Ok(())
    }
}

impl Labour for Render {
    fn total(&self) -> Option<u64> {
        Some(self.rows as u64)
    }

    fn unit(&self) -> &'static str {
        "rows"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        let row = self.pixels.len() / self.width.max(1);
        if row >= self.rows || self.width == 0 {
            if !self.written {
                self.write()?;
            }
            return Ok(None);
        }
        let (width, rows) = (self.width, self.rows);
        self.pixels.extend((0..width).map(|column| rounds(column, row, width, rows)));
        Ok(Some(Piece { items: 1, ..Piece::default() }))
    }

    fn result(&self) -> Value {
        json!({"width": self.width, "rows": self.rows, "bytes": self.pixels.len()})
    }
}

/// After how many rounds the point goes its way.
#[expect(clippy::cast_precision_loss, reason = "pictures are small")]
fn rounds(column: usize, row: usize, width: usize, rows: usize) -> u8 {
    let real = column as f64 / width as f64 * 3.0 - 2.2;
    let imaginary = row as f64 / rows as f64 * 2.4 - 1.2;
    let (mut x, mut y) = (0.0_f64, 0.0_f64);
    (0..ROUNDS)
        .find(|_| {
            (x, y) = (x * x - y * y + real, 2.0 * x * y + imaginary);
            x * x + y * y > 4.0
        })
        .unwrap_or(ROUNDS)
}

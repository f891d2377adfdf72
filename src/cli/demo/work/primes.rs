//! A search for primes by trial division.

use serde_json::{Value, json};

use super::{Labour, Piece, Problem};

/// Numbers in one piece.
pub const CHUNK: usize = 250;

/// A search through a range of numbers.
pub struct Search {
    next: usize,
    end: usize,
    total: usize,
    found: usize,
    largest: usize,
}

impl Search {
    pub fn new(from: usize, numbers: usize) -> Self {
        Self { next: from, end: from + numbers, total: numbers, found: 0, largest: 0 }
    }
}

impl Labour for Search {
    fn total(&self) -> Option<u64> {
        Some(self.total as u64)
    }

    fn unit(&self) -> &'static str {
        "numbers"
    }

    fn next(&mut self) -> Result<Option<Piece>, Problem> {
        let chunk = self.next..self.end.min(self.next + CHUNK);
        if chunk.is_empty() {
            return Ok(None);
        }
        self.next = chunk.end;
        let items = chunk.len() as u64;
        let before = self.found;
        for number in chunk.filter(|number| is_prime(*number)) {
            self.found += 1;
            self.largest = number;
        }
        let about = match self.largest {
            0 => String::new(),
            largest => format!("largest so far {largest}"),
        };
        let counter = Some(("primes", (self.found - before) as u64));
        Ok(Some(Piece { items, about, step: None, counter }))
    }

    fn result(&self) -> Value {
        json!({"numbers": self.total, "primes": self.found, "largest": self.largest})
    }
}

fn is_prime(number: usize) -> bool {
    let divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number >= 2 && !{ divisors }.any(|divisor| number.is_multiple_of(divisor))
}

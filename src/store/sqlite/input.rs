//! The input of a set-based statement: one JSON array of rows, and one blob bound beside it from
//! which rows take their slices.
//!
//! Statements read rows with `jsonb_each`, which hands each one out parsed; with `json_each` every
//! column would print and parse its row again.

/// Rows for one statement: `?1` is the JSON array, `?2` the blob.
#[derive(Default)]
pub(super) struct Rows {
    json: String,
    blob: Vec<u8>,
    count: usize,
}

/// One row under way: columns in the order of the statement.
pub(super) struct Row<'a> {
    rows: &'a mut Rows,
    columns: usize,
}

impl Rows {
    /// Starts a row.
    pub(super) fn row(&mut self) -> Row<'_> {
        self.json.push(if self.count == 0 { '[' } else { ',' });
        self.json.push('[');
        self.count += 1;
        Row { rows: self, columns: 0 }
    }

    /// Whether there is no row.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The JSON array and the blob.
    pub(super) fn into_parts(mut self) -> (String, Vec<u8>) {
        self.json.push_str(if self.count == 0 { "[]" } else { "]" });
        (self.json, self.blob)
    }
}

impl Row<'_> {
    fn next(&mut self) -> &mut String {
        if self.columns > 0 {
            self.rows.json.push(',');
        }
        self.columns += 1;
        &mut self.rows.json
    }

    /// A text.
    pub(super) fn text(mut self, text: &str) -> Self {
        let quoted = serde_json::Value::from(text).to_string();
        self.next().push_str(&quoted);
        self
    }

    /// A text or NULL.
    pub(super) fn maybe_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.json("null"),
        }
    }

    /// A value that is JSON already.
    pub(super) fn json(mut self, json: &str) -> Self {
        self.next().push_str(json);
        self
    }

    /// A number.
    pub(super) fn int(self, number: i64) -> Self {
        self.json(&number.to_string())
    }

    /// A number or NULL.
    pub(super) fn maybe_int(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.int(number),
            None => self.json("null"),
        }
    }

    /// Short bytes, read back with `unhex`.
    pub(super) fn hex(mut self, bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let json = self.next();
        json.push('"');
        for byte in bytes {
            json.push(char::from(DIGITS[usize::from(byte >> 4)]));
            json.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        json.push('"');
        self
    }

    /// Short bytes or NULL.
    pub(super) fn maybe_hex(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.hex(bytes),
            None => self.json("null"),
        }
    }

    /// Bytes in the blob: two columns, where they start (from 1, as `substr` counts) and how many.
    pub(super) fn slice(self, bytes: &[u8]) -> Self {
        let start = self.rows.blob.len() + 1;
        self.rows.blob.extend_from_slice(bytes);
        self.json(&start.to_string()).json(&bytes.len().to_string())
    }

    /// Bytes in the blob or NULL: two columns.
    pub(super) fn maybe_slice(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.slice(bytes),
            None => self.json("null").json("null"),
        }
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        self.rows.json.push(']');
    }
}

/// A JSON array of ids in hex, for `unhex(value)`.
pub(super) fn ids<'a>(ids: impl IntoIterator<Item = &'a uuid::Uuid>) -> String {
    let mut json = String::from("[");
    for id in ids {
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(id.as_simple().encode_lower(&mut [0; uuid::fmt::Simple::LENGTH]));
        json.push('"');
    }
    json.push(']');
    json
}

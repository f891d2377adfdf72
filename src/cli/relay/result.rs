//! The file in which a command leaves its result.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::cli::json as mapping;
use crate::domain::limits::{PAYLOAD_BYTES_MAX, PROCESS_RESULT_BYTES_MAX, STRUCT_DEPTH_MAX};

/// A file, as it was before the command ran.
#[derive(Debug)]
pub struct ResultFile {
    path: PathBuf,
    before: Option<Mark>,
}

/// By which one sees that a file was written.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanos: i64,
}

impl ResultFile {
    /// What is there already is no result of the command.
    #[must_use]
    pub fn before(path: &Path) -> Self {
        Self { path: path.to_owned(), before: mark(path) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The result; `None` if the command wrote no file, or nothing into it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds what cannot be a result.
    pub fn read(&self) -> Result<Option<Bytes>, String> {
        let about = |problem: String| format!("the result file {}: {problem}", self.path.display());
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(about(error.to_string())),
        };
        if self.before.is_some() && mark(&self.path) == self.before {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let most = PROCESS_RESULT_BYTES_MAX as u64;
        file.take(most + 1).read_to_end(&mut bytes).map_err(|error| about(error.to_string()))?;
        if bytes.len() as u64 > most {
            return Err(about("it is larger than any result (256 KiB)".to_owned()));
        }
        of_text(&String::from_utf8_lossy(&bytes)).map_err(about)
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let about = fs::metadata(path).ok()?;
    Some(Mark {
        inode: about.ino(),
        bytes: about.len(),
        seconds: about.mtime(),
        nanos: about.mtime_nsec(),
    })
}

/// A JSON object as it is, other JSON as `value`, other text as `text`; nothing if it is blank.
fn of_text(text: &str) -> Result<Option<Bytes>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let value = match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => object,
        Ok(value) => json!({ "value": value }),
        Err(_) => json!({ "text": text }),
    };
    encoded(&value).map(Some)
}

/// A result as the server takes it.
///
/// # Errors
///
/// It is too large, too deep, or holds an integer that a double cannot hold.
pub(super) fn encoded(value: &Value) -> Result<Bytes, String> {
    if depth(value) > STRUCT_DEPTH_MAX {
        return Err(format!("the result has more than {STRUCT_DEPTH_MAX} levels"));
    }
    let result = mapping::to_struct(&value.to_string())?;
    if result.len() > PAYLOAD_BYTES_MAX {
        let bytes = result.len();
        return Err(format!("the result has {bytes} bytes encoded, at most {PAYLOAD_BYTES_MAX}"));
    }
    Ok(result)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

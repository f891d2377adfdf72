//! A file of definitions: YAML, or JSON, which is YAML too.

use std::collections::HashMap;
use std::io::Read as _;

use bytes::Bytes;
use serde_json::Value;

use crate::cli::exit::Failure;
use crate::cli::json;
use crate::domain::definitions::Definitions;
use crate::domain::limits::MESSAGE_BYTES_MAX;
use crate::domain::validate::Violations;

/// What a file says.
pub struct File {
    /// Types, queues and quotas.
    pub definitions: Definitions,
    /// Inputs of scheduled and triggered runs, by type: `defaults.payload`.
    pub payloads: HashMap<String, Bytes>,
}

/// Reads `path`, or stdin if it is `-`, and checks all of it.
///
/// # Errors
///
/// Everything that is wrong with it, a line each.
pub fn read(path: &str) -> Result<File, Failure> {
    let text = text(path)?;
    let mut wrong = Violations::default();
    let broken = |error: serde_saphyr::Error| Failure::usage(path, error.to_string());
    let definitions =
        serde_saphyr::with_deserializer_from_str(&text, |from| Definitions::read(from, &mut wrong));
    let definitions = definitions.map_err(broken)?;
    let tree: Value = serde_saphyr::from_str(&text).map_err(broken)?;
    let mut noted = Violations::default();
    let payloads = payloads(&tree, &mut noted);
    for one in wrong.as_slice() {
        // It is opaque, so the definitions do not know it.
        let is_payload =
            one.field.starts_with("types[") && one.field.ends_with("].defaults.payload");
        if !is_payload {
            noted.add(&one.field, &one.description);
        }
    }
    definitions.validate(&mut noted);
    if noted.is_empty() {
        return Ok(File { definitions, payloads });
    }
    let lines: Vec<String> =
        noted.as_slice().iter().map(|of| format!("{}: {}", of.field, of.description)).collect();
    Err(Failure::usage(path, lines.join("\n  ")))
}

fn text(path: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::usage(path, format!("cannot be read: {error}"));
    let most = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    let read = if path == "-" {
        std::io::stdin().take(most + 1).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(most + 1).read_to_string(&mut text)
    };
    let length = read.map_err(failed)?;
    if length as u64 > most {
        return Err(Failure::usage(path, format!("must have at most {most} bytes")));
    }
    Ok(text)
}

fn payloads(tree: &Value, wrong: &mut Violations) -> HashMap<String, Bytes> {
    let mut found = HashMap::new();
    let types = tree.get("types").and_then(Value::as_array).into_iter().flatten();
    for (place, of) in types.enumerate() {
        let Some(payload) = of.get("defaults").and_then(|defaults| defaults.get("payload")) else {
            continue;
        };
        let field = format!("types[{place}].defaults.payload");
        let encoded = match payload {
            Value::Object(fields) => json::struct_of(fields.clone()),
            Value::Null => continue,
            _ => Err("must be an object".to_owned()),
        };
        let name = of.get("type").and_then(Value::as_str);
        if let (Some(encoded), Some(name)) = (wrong.take(&field, encoded), name) {
            found.insert(name.to_owned(), encoded);
        }
    }
    found
}

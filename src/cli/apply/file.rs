//! A file of definitions: YAML, or JSON, which is YAML too.

use std::collections::HashMap;
use std::io::Read as _;

use bytes::Bytes;
use serde_json::Value;
use serde_saphyr::UserMessageFormatter;

use crate::cli::exit::Failure;
use crate::cli::json;
use crate::domain::definitions::Definitions;
use crate::domain::limits::{MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::domain::validate::Violations;
use crate::grpc::convert::opaque;

/// What a file says.
pub struct File {
    /// Types, queues and quotas.
    pub definitions: Definitions,
    /// Inputs of scheduled and triggered runs, by type: `defaults.payload`.
    pub payloads: HashMap<String, Bytes>,
    /// Where it is.
    path: String,
    /// As it is written.
    tree: Value,
}

impl File {
    /// Whether the file names this field of a queue.
    #[must_use]
    pub fn names_of_queue(&self, queue: &str, field: &str) -> bool {
        let queue = self.tree.get("queues").and_then(|queues| queues.get(queue));
        queue.is_some_and(|queue| queue.get(field).is_some())
    }

    /// Whether the file names this field of the type at this place, for instance `/schedule/paused`.
    #[must_use]
    pub fn names_of_type(&self, place: usize, pointer: &str) -> bool {
        self.tree.pointer(&format!("/types/{place}{pointer}")).is_some()
    }

    /// What is wrong with it, a line each.
    #[must_use]
    pub fn wrong(&self, violations: &Violations) -> Failure {
        all_of(&self.path, violations)
    }
}

fn all_of(path: &str, violations: &Violations) -> Failure {
    let lines = violations.as_slice().iter().map(|of| format!("{}: {}", of.field, of.description));
    let lines: Vec<String> = lines.collect();
    Failure::usage(path, lines.join("\n  "))
}

/// Reads `path`, or stdin if it is `-`, and checks all of it.
///
/// # Errors
///
/// Everything that is wrong with it, a line each.
pub fn read(path: &str) -> Result<File, Failure> {
    let text = text(path)?;
    let mut wrong = Violations::default();
    let broken = |error: serde_saphyr::Error, field: &str| {
        let said = error.without_snippet().render_with_formatter(&UserMessageFormatter);
        // Nothing is known of the place of what is no YAML.
        let field =
            if field.is_empty() || field == "." { String::new() } else { format!("{field}: ") };
        let hint = "docs/types.yaml shows how each field is written";
        Failure::usage(path, format!("{field}{said}; {hint}"))
    };
    let mut field = String::new();
    let definitions = serde_saphyr::with_deserializer_from_str(&text, |from| {
        Definitions::read(from, &mut wrong, &mut field)
    });
    let definitions = definitions.map_err(|error| broken(error, &field))?;
    let tree: Value = serde_saphyr::from_str(&text).map_err(|error| broken(error, ""))?;
    if tree.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(Failure::usage(path, "says nothing: docs/types.yaml shows every field"));
    }
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
        return Ok(File { definitions, payloads, path: path.to_owned(), tree });
    }
    Err(all_of(path, &noted))
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
        let Some(encoded) = wrong.take(&field, encoded) else { continue };
        // As the server does.
        opaque::check(&encoded, PAYLOAD_BYTES_MAX, &field, wrong);
        if let Some(name) = of.get("type").and_then(Value::as_str) {
            found.insert(name.to_owned(), encoded);
        }
    }
    found
}

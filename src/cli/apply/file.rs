//! A file of definitions: YAML, or JSON, which is YAML too.

use std::collections::HashMap;
use std::io::Read as _;

use bytes::Bytes;
use serde_json::Value;

use super::words;
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
    wrong(path, lines.join("\n  "))
}

fn wrong(path: &str, problem: impl Into<String>) -> Failure {
    Failure::File { path: path.to_owned(), problem: problem.into() }
}

/// `NO` is Norway and `y` a letter: `true` and `false` alone are no texts.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true }
}

/// Reads `path`, or stdin if it is `-`, and checks all of it.
///
/// # Errors
///
/// Everything that is wrong with it, a line each.
pub fn read(path: &str) -> Result<File, Failure> {
    let text = text(path)?;
    let mut unknown = Violations::default();
    let broken = |error: serde_saphyr::Error, field: &str| {
        // Nothing is known of the place of what is no YAML, and of that of a key only what is above it.
        let field = field.trim_end_matches(".?");
        let field =
            if field.is_empty() || field == "." { String::new() } else { format!("{field}: ") };
        wrong(path, format!("{field}{}", words::said(&error)))
    };
    let mut field = String::new();
    let definitions =
        serde_saphyr::with_deserializer_from_str_with_options(&text, options(), |from| {
            Definitions::read(from, &mut unknown, &mut field)
        });
    let definitions = definitions.map_err(|error| broken(error, &field))?;
    let tree = serde_saphyr::from_str_with_options::<Value>(&text, options());
    let tree = tree.map_err(|error| broken(error, ""))?;
    if tree.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(wrong(path, "says nothing"));
    }
    let mut noted = Violations::default();
    let payloads = payloads(&tree, &mut noted);
    for one in unknown.as_slice() {
        // It is opaque, so the definitions do not know it.
        let is_payload =
            one.field.starts_with("types[") && one.field.ends_with("].defaults.payload");
        if !is_payload {
            noted.add(&one.field, &one.description);
        }
    }
    definitions.validate(&mut noted);
    for (place, spec) in definitions.types.iter().enumerate() {
        let zoned = spec.schedule.as_ref().filter(|it| it.interval.is_some() && it.cron.is_empty());
        let alone = zoned.is_none_or(|schedule| schedule.time_zone.is_empty());
        noted.check(alone, &format!("types[{place}].schedule.time_zone"), || {
            "must be left out beside interval: it is the clock of a cron".to_owned()
        });
    }
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

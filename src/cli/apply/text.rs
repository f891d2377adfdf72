//! Definitions as people write them, and what differs between two of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::cli::exit::Failure;
use crate::cli::{format, json};
use crate::domain::job_type::JobTypeSpec;
use crate::domain::rate::StartRate;
use crate::domain::validate::Violations;
use crate::domain::written::size;
use crate::engine::PutType;
use crate::grpc::convert;
use crate::proto::v1::JobType;

/// The fields that hold one of a few choices.
const CHOICES: [&str; 6] =
    ["period", "on_exhausted", "priority", "on_stuck", "overlap_policy", "counts"];
/// The fields that hold bytes.
const SIZES: [&str; 2] = ["memory_bytes", "memory_bytes_max"];

/// A definition as a tree of what it says.
pub fn tree<T: Serialize>(what: &T) -> Result<Value, Failure> {
    let mut tree =
        serde_json::to_value(what).map_err(|error| Failure::Unreadable(error.to_string()))?;
    write_as_files(&mut tree);
    Ok(tree)
}

/// Writes values as people do in files: `skip`, `512Mi`, `10/min`, where columns and messages have `SKIP`, a number of
/// bytes, a count and a period.
fn write_as_files(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if CHOICES.contains(&name.as_str()) => {
                        text.make_ascii_lowercase();
                    }
                    Value::Number(bytes) if SIZES.contains(&name.as_str()) => {
                        let text = bytes.as_u64().map(size::text);
                        // A bare number stays one.
                        if let Some(text) = text.filter(|text| text.ends_with(char::is_alphabetic))
                        {
                            *value = Value::String(text);
                        }
                    }
                    // What people name is theirs.
                    _ if name == "labels" || name == "quota_costs" => {}
                    value if name == "start_rate" => {
                        let rate = serde_json::from_value::<StartRate>(value.clone()).ok();
                        if let Some(word) = rate.and_then(|rate| rate.word()) {
                            *value = Value::String(word);
                        }
                    }
                    value => write_as_files(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(write_as_files),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A type as it is declared, from its message.
pub fn declared(job_type: &JobType) -> Result<PutType, Failure> {
    let mut wrong = Violations::default();
    let read = convert::job_type::from_proto(Some(job_type.clone()), true, &mut wrong);
    read.ok_or_else(|| {
        let first = wrong.as_slice().first();
        let why = first.map_or_else(String::new, |of| format!("{} {}", of.field, of.description));
        Failure::Unreadable(format!("type {}: {why}", format::plain(&job_type.r#type)))
    })
}

/// The tree of a type and its payload.
pub fn type_tree(spec: &JobTypeSpec, payload: Option<&bytes::Bytes>) -> Result<Value, Failure> {
    let mut all = tree(spec)?;
    if let (Some(payload), Some(fields)) = (payload, all.as_object_mut()) {
        let defaults =
            fields.entry("defaults").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(defaults) = defaults.as_object_mut() {
            defaults.insert("payload".to_owned(), json::of_struct(payload));
        }
    }
    Ok(all)
}

/// A type as a file would say it, a line each.
pub fn of_type(job_type: &JobType) -> Result<Vec<String>, Failure> {
    let put = declared(job_type)?;
    let mut lines = Vec::new();
    write(&type_tree(&put.spec, put.payload.as_ref())?, 0, &mut lines);
    Ok(lines)
}

/// A tree as YAML of the plainest kind.
pub(super) fn write(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = key(name);
                if is_block(value) {
                    lines.push(format!("{indent}{name}:"));
                    write(value, depth + 1, lines);
                } else {
                    lines.push(format!("{indent}{name}: {}", scalar(value)));
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                if is_block(value) {
                    lines.push(format!("{indent}-"));
                    write(value, depth + 1, lines);
                } else {
                    lines.push(format!("{indent}- {}", scalar(value)));
                }
            }
        }
        scalar_value => lines.push(format!("{indent}{}", scalar(scalar_value))),
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Words that some reader of YAML takes for something else, in any case.
const TAKEN: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// Quoted as JSON does, which YAML reads too, unless it can be taken for nothing else.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        value => format::plain(&value.to_string()),
    }
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !TAKEN.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// A key, quoted as its value would be, and where a dot in it would look like the next one.
fn key(name: &str) -> String {
    if is_plain(name) && !name.contains('.') {
        return name.to_owned();
    }
    format::plain(&Value::from(name).to_string())
}

/// What differs, a line each: `schedule.cron: "0 4 * * *" → "0 5 * * *"`.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten(before, "", &mut old);
    flatten(after, "", &mut new);
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let line = |name: &String| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) => format!("{name}: {old} → {new}"),
        (None, Some(new)) => format!("{name}: {new}"),
        (Some(old), None) => format!("{name}: {old} → (unset)"),
        (None, None) => name.clone(),
    };
    changed.map(line).collect()
}

fn flatten(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let name = key(name);
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(value, &path, found);
            }
        }
        Value::Array(values) if values.iter().any(is_block) => {
            for (place, value) in values.iter().enumerate() {
                flatten(value, &format!("{path}[{place}]"), found);
            }
        }
        value => {
            found.insert(path.to_owned(), scalar(value));
        }
    }
}

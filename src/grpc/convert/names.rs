//! Names, alone and in lists.

use std::fmt::Display;

use crate::domain::limits::NAMES_PER_LIST_MAX;
use crate::domain::validate::Violations;
use crate::domain::{Category, JobType, QueueName, WorkerName};

use super::path::{Path, is_clean};

/// The names of a list, each once, in the order given.
pub(super) fn list<T: PartialEq, E: Display>(
    names: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<T>> {
    let at = Path::root(field);
    if names.len() > NAMES_PER_LIST_MAX {
        at.wrong(
            violations,
            format!("must have at most {NAMES_PER_LIST_MAX} elements, has {}", names.len()),
        );
        return None;
    }
    let before = violations.as_slice().len();
    let mut parsed = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if let Some(name) = at.index(index).take(violations, parse(name))
            && !parsed.contains(&name)
        {
            parsed.push(name);
        }
    }
    is_clean(violations, before).then_some(parsed)
}

/// Types; empty for all.
pub fn types(names: &[String], field: &str, violations: &mut Violations) -> Option<Vec<JobType>> {
    list(names, JobType::new, field, violations)
}

/// Types of a filter: the server's own, too.
pub fn known_types(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<JobType>> {
    list(names, JobType::any, field, violations)
}

/// Categories; empty for all.
pub fn categories(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<Category>> {
    list(names, Category::new, field, violations)
}

/// Queues; empty for all.
pub fn queues(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<QueueName>> {
    list(names, QueueName::new, field, violations)
}

/// Queues of a filter: the server's own, too.
pub fn known_queues(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<QueueName>> {
    list(names, QueueName::any, field, violations)
}

/// Queues a worker serves: `default` if it names none.
pub fn served_queues(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<QueueName>> {
    let mut queues = queues(names, field, violations)?;
    if queues.is_empty() {
        queues.push(QueueName::default());
    }
    Some(queues)
}

/// A worker's name.
pub fn worker_id(text: &str, field: &str, violations: &mut Violations) -> Option<WorkerName> {
    violations.take(field, WorkerName::new(text))
}

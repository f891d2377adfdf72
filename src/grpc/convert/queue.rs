//! Queues: how they are treated.

use crate::domain::QueueName;
use crate::domain::limits::CAP_MAX;
use crate::domain::queue::QueueSettings;
use crate::domain::rate::StartRate;
use crate::domain::validate::Violations;
use crate::proto::v1;

use super::path::{Path, is_clean};
use super::{number, rate};

/// What can be changed of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Paused,
    PauseReason,
    MaxRunning,
    MaxPending,
    StartRate,
    StartBurst,
    Weight,
}

const FIELDS: [(&str, Field); 7] = [
    ("paused", Field::Paused),
    ("pause_reason", Field::PauseReason),
    ("max_running", Field::MaxRunning),
    ("max_pending", Field::MaxPending),
    ("start_rate", Field::StartRate),
    ("start_burst", Field::StartBurst),
    ("weight", Field::Weight),
];

/// A change of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueChange {
    /// Of which queue.
    pub name: QueueName,
    fields: Vec<Field>,
    to: QueueSettings,
    per_second: f64,
    burst: i64,
}

impl QueueChange {
    /// Changes the fields that are meant, and notes those that mean nothing by how the queue stands then.
    pub fn apply(&self, settings: &mut QueueSettings, violations: &mut Violations) {
        let to = &self.to;
        for field in &self.fields {
            match field {
                Field::Paused => settings.paused = to.paused,
                Field::PauseReason => settings.pause_reason.clone_from(&to.pause_reason),
                Field::MaxRunning => settings.max_running = to.max_running,
                Field::MaxPending => settings.max_pending = to.max_pending,
                Field::Weight => settings.weight = to.weight,
                Field::StartRate | Field::StartBurst => {
                    settings.start_rate = self.rate(settings.start_rate.as_ref());
                }
            }
        }
        let burst = if self.fields.contains(&Field::StartBurst) { self.burst } else { 0 };
        violations.check(burst == 0 || settings.start_rate.is_some(), "queue.start_burst", || {
            "must be 0 without a start_rate".to_owned()
        });
    }

    /// The rate with as much of it changed as is meant.
    fn rate(&self, held: Option<&StartRate>) -> Option<StartRate> {
        let means = |field| self.fields.contains(&field);
        let per_second = if means(Field::StartRate) {
            self.per_second
        } else {
            held.map_or(0.0, rate::per_second)
        };
        let burst = if means(Field::StartBurst) { self.burst } else { held.map_or(0, rate::burst) };
        if per_second == 0.0 {
            return None;
        }
        rate::from_proto(per_second, burst, Path::root(""), &mut Violations::default())
    }
}

/// A change of a queue whose every field was checked.
pub fn from_proto(
    request: v1::UpdateQueueRequest,
    violations: &mut Violations,
) -> Option<QueueChange> {
    let at = Path::root("queue");
    let Some(queue) = request.queue else {
        at.wrong(violations, "must be set");
        return None;
    };
    let before = violations.as_slice().len();
    let fields = fields(request.update_mask.as_ref(), violations);
    let name = at.field("name").take(violations, QueueName::new(&queue.name));
    let mut small = |value: i64, name| {
        let at = at.field(name);
        let count = u32::try_from(value).ok();
        at.check(violations, count.is_some(), || {
            format!("must be from 0 to {CAP_MAX}, is {value}")
        });
        count.unwrap_or_default()
    };
    let (max_running, max_pending) =
        (small(queue.max_running, "max_running"), small(queue.max_pending, "max_pending"));
    let weight = number::small(queue.weight, at.field("weight"), violations);
    let paces = queue.start_rate != 0.0 || queue.start_burst != 0;
    if paces && fields.iter().any(|field| matches!(field, Field::StartRate | Field::StartBurst)) {
        // Checked with a rate of one where only the burst is changed.
        let per_second = if fields.contains(&Field::StartRate) { queue.start_rate } else { 1.0 };
        let mut wrong = Violations::default();
        let no_rate = per_second == 0.0;
        at.field("start_burst")
            .check(violations, !no_rate, || "must be 0 without a start_rate".to_owned());
        if !no_rate {
            rate::from_proto(per_second, queue.start_burst, Path::root("rate"), &mut wrong);
        }
        for one in wrong.as_slice() {
            let name = if one.field.ends_with("burst") { "start_burst" } else { "start_rate" };
            at.field(name).wrong(violations, &one.description);
        }
    }
    let to = QueueSettings {
        paused: queue.paused,
        pause_reason: queue.pause_reason,
        max_running,
        max_pending,
        start_rate: None,
        weight,
    };
    to.validate("queue.", violations);
    let (per_second, burst) = (queue.start_rate, queue.start_burst);
    let change = QueueChange { name: name?, fields, to, per_second, burst };
    is_clean(violations, before).then_some(change)
}

/// The fields that are meant; all if none is named.
fn fields(mask: Option<&prost_types::FieldMask>, violations: &mut Violations) -> Vec<Field> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() || matches!(paths, [all] if all == "*") {
        return FIELDS.iter().map(|(_, field)| *field).collect();
    }
    let mut fields = Vec::with_capacity(paths.len());
    let at = Path::root("update_mask.paths");
    if paths.len() > FIELDS.len() {
        at.wrong(violations, format!("must have at most {} elements", FIELDS.len()));
        return Vec::new();
    }
    for (place, path) in paths.iter().enumerate() {
        if let Some((_, field)) = FIELDS.iter().find(|(name, _)| name == path) {
            fields.push(*field);
        } else {
            let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            at.index(place).wrong(violations, format!("must be one of {known}"));
        }
    }
    fields
}

/// What is set up of a queue, as its message says.
#[must_use]
pub fn settings(queue: &v1::Queue) -> QueueSettings {
    let small = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let mut wrong = Violations::default();
    let rate = (queue.start_rate > 0.0)
        .then(|| rate::from_proto(queue.start_rate, queue.start_burst, Path::root(""), &mut wrong));
    QueueSettings {
        paused: queue.paused,
        pause_reason: queue.pause_reason.clone(),
        max_running: small(queue.max_running),
        max_pending: small(queue.max_pending),
        start_rate: rate.flatten(),
        weight: u32::try_from(queue.weight).unwrap_or_default(),
    }
}

/// What was set up of a queue, into its message.
pub fn settings_to_proto(settings: &QueueSettings, queue: &mut v1::Queue) {
    queue.paused = settings.paused;
    queue.pause_reason.clone_from(&settings.pause_reason);
    queue.max_running = settings.max_running.into();
    queue.max_pending = settings.max_pending.into();
    let paced = settings.start_rate.as_ref().map(paced);
    (queue.start_rate, queue.start_burst) = paced.unwrap_or_default();
    queue.weight = i32::try_from(settings.weight).unwrap_or(i32::MAX);
}

/// Starts per second, and at once after a pause, as a message has them.
#[must_use]
pub fn paced(rate: &StartRate) -> (f64, i64) {
    (rate::per_second(rate), rate::burst(rate))
}

#[cfg(test)]
mod tests;

//! How far a job is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::limits::{
    PROGRESS_COUNT_MAX, PROGRESS_COUNTER_BYTES_MAX, PROGRESS_COUNTERS_MAX,
    PROGRESS_MESSAGE_BYTES_MAX, PROGRESS_NAME_BYTES_MAX, PROGRESS_UNIT_BYTES_MAX, SEQUENCE_MAX,
    SPAN_MAX,
};
use crate::domain::validate::Violations;
use crate::domain::{Progress, Timestamp};
use crate::proto::from_worker::{Texts, Tick};
use crate::proto::v1;

use super::path::{Path, is_clean};
use super::{number, text, time};

/// A worker's report that arrived at `now`. Moves the texts and allocates nothing unless there are
/// counters or something is wrong.
pub fn from_proto(
    progress: v1::Progress,
    now: Timestamp,
    violations: &mut Violations,
    prefix: &str,
) -> Option<Progress> {
    let before = violations.as_slice().len();
    let at = Path::root(prefix);
    check_counts(&progress, at, violations);
    check_percent(&progress, at, violations);
    check_counters(&progress.counters, at.field("counters"), violations);
    text::bounded(&progress.unit, PROGRESS_UNIT_BYTES_MAX, at.field("unit"), violations);
    let step = at.field("current_step");
    text::bounded(&progress.current_step, PROGRESS_NAME_BYTES_MAX, step, violations);
    text::bounded(&progress.message, PROGRESS_MESSAGE_BYTES_MAX, at.field("message"), violations);
    let step_number = number::small(progress.step_number, at.field("step_number"), violations);
    let step_count = number::small(progress.step_count, at.field("step_count"), violations);
    let remaining = at.field("estimated_remaining");
    let estimated_remaining = time::optional_span(
        progress.estimated_remaining,
        Duration::ZERO..=SPAN_MAX,
        remaining,
        violations,
    );
    if !is_clean(violations, before) {
        return None;
    }
    Some(Progress {
        total: progress.total,
        completed: progress.completed,
        succeeded: progress.succeeded,
        failed: progress.failed,
        unit: progress.unit,
        percent: progress.percent,
        step_number,
        step_count,
        current_step: progress.current_step,
        message: progress.message,
        estimated_remaining: estimated_remaining.flatten(),
        // Most reports have none, and to go through an empty map costs as much as a field.
        counters: if progress.counters.is_empty() {
            Vec::new()
        } else {
            progress.counters.into_iter().collect()
        },
        sequence: progress.sequence,
        base: 0,
        rate: None,
        report_time: Some(now),
        activity_time: None,
    })
}

/// The same of a report in its small form; `None` if it is wrong, and [`from_proto`] is to say how.
pub fn from_tick(tick: &mut Tick, now: Timestamp) -> Option<Progress> {
    let count = |units: i64| (0..=PROGRESS_COUNT_MAX).contains(&units);
    let counts = count(tick.completed) && count(tick.succeeded) && count(tick.failed);
    let within = match (tick.total, tick.percent) {
        (Some(total), None) => count(total) && tick.completed <= total,
        (None, Some(percent)) => (0.0..=100.0).contains(&percent),
        (None, None) => true,
        (Some(_), Some(_)) => false,
    };
    let texts = tick.texts.as_ref().is_none_or(|texts| {
        texts.unit.len() <= PROGRESS_UNIT_BYTES_MAX
            && texts.current_step.len() <= PROGRESS_NAME_BYTES_MAX
            && texts.message.len() <= PROGRESS_MESSAGE_BYTES_MAX
    });
    if !(counts && within && texts && (0..=SEQUENCE_MAX).contains(&tick.sequence)) {
        return None;
    }
    let step_number = u32::try_from(tick.step_number).ok()?;
    let step_count = u32::try_from(tick.step_count).ok()?;
    let Texts { unit, current_step, message } = match tick.texts.take() {
        Some(texts) => *texts,
        None => Texts::default(),
    };
    Some(Progress {
        total: tick.total,
        completed: tick.completed,
        succeeded: tick.succeeded,
        failed: tick.failed,
        percent: tick.percent,
        step_number,
        step_count,
        unit,
        current_step,
        message,
        estimated_remaining: None,
        counters: Vec::new(),
        sequence: tick.sequence,
        base: 0,
        rate: None,
        report_time: Some(now),
        activity_time: None,
    })
}

fn check_counts(progress: &v1::Progress, at: Path<'_>, violations: &mut Violations) {
    number::sequence(progress.sequence, at.field("sequence"), violations);
    for (units, name) in [
        (progress.total.unwrap_or_default(), "total"),
        (progress.completed, "completed"),
        (progress.succeeded, "succeeded"),
        (progress.failed, "failed"),
    ] {
        at.field(name).check(violations, (0..=PROGRESS_COUNT_MAX).contains(&units), || {
            format!("must be from 0 to {PROGRESS_COUNT_MAX}, is {units}")
        });
    }
    if let Some(total) = progress.total {
        let completed = progress.completed;
        at.field("completed").check(violations, total < 0 || completed <= total, || {
            format!("must not be more than total, which is {total}, is {completed}")
        });
    }
}

fn check_percent(progress: &v1::Progress, at: Path<'_>, violations: &mut Violations) {
    if let Some(percent) = progress.percent {
        let at = at.field("percent");
        number::within(percent, 0.0..=100.0, at, violations);
        at.check(violations, progress.total.is_none(), || {
            "must not be set beside total, from which it follows".to_owned()
        });
    }
}

fn check_counters(counters: &BTreeMap<String, f64>, at: Path<'_>, violations: &mut Violations) {
    if counters.len() > PROGRESS_COUNTERS_MAX {
        let found = counters.len();
        at.wrong(
            violations,
            format!("must have at most {PROGRESS_COUNTERS_MAX} elements, has {found}"),
        );
        return;
    }
    for (name, value) in counters {
        let at = at.key(name);
        at.check(violations, !name.is_empty(), || "must have a name".to_owned());
        at.check(violations, name.len() <= PROGRESS_COUNTER_BYTES_MAX, || {
            let found = name.len();
            format!("must have a name of at most {PROGRESS_COUNTER_BYTES_MAX} bytes, has {found}")
        });
        at.check(violations, value.is_finite(), || format!("must be finite, is {value}"));
    }
}

/// The progress of an execution that started at `start`, with what follows from it at `now`, or at
/// its `end`. `live` stays false: whoever shows progress from memory sets it.
#[must_use]
pub fn to_proto(
    progress: &Progress,
    start: Timestamp,
    end: Option<Timestamp>,
    now: Timestamp,
) -> v1::Progress {
    let derived = progress.derive(start, end.unwrap_or(now));
    v1::Progress {
        total: progress.total,
        completed: progress.completed,
        succeeded: progress.succeeded,
        failed: progress.failed,
        unit: progress.unit.clone(),
        percent: derived.percent,
        step_number: i32::try_from(progress.step_number).unwrap_or(i32::MAX),
        step_count: i32::try_from(progress.step_count).unwrap_or(i32::MAX),
        current_step: progress.current_step.clone(),
        message: progress.message.clone(),
        estimated_remaining: progress.estimated_remaining.map(time::span_to_proto),
        counters: progress.counters.iter().cloned().collect(),
        sequence: progress.sequence,
        rate_per_second: derived.rate_per_second,
        average_rate_per_second: derived.average_rate_per_second,
        elapsed: Some(time::span_to_proto(derived.elapsed)),
        // Nothing remains of an execution that ended, however far it came.
        remaining: derived.remaining.filter(|_| end.is_none()).map(time::span_to_proto),
        live: false,
        report_time: progress.report_time.map(time::to_proto),
        activity_time: progress.activity_time.map(time::to_proto),
    }
}

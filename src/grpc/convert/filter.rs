//! Which jobs are meant.

use crate::domain::filter::TimeRange;
use crate::domain::limits::{FILTER_IDS_MAX, NAMES_PER_LIST_MAX, TEXT_BYTES_MAX};
use crate::domain::validate::Violations;
use crate::domain::{JobFilter, JobId, WorkerName};
use crate::proto::v1;

use super::enums::Named;
use super::path::{Path, is_clean};
use super::{enums, labels, names, text, time};

/// The filter of a command to jobs: the server's own are not named by their type, but by their ids.
pub fn meant_from_proto(
    filter: Option<v1::JobFilter>,
    prefix: &str,
    violations: &mut Violations,
) -> Option<JobFilter> {
    let filter = from_proto(filter, prefix, violations)?;
    let at = Path::root(prefix);
    let before = violations.as_slice().len();
    for (index, job_type) in filter.types.iter().enumerate() {
        at.field("types").index(index).check(violations, !job_type.is_reserved(), || {
            "must not be one of the server's own: name its jobs by their ids".to_owned()
        });
    }
    is_clean(violations, before).then_some(filter)
}

/// A filter; all jobs if unset.
pub fn from_proto(
    filter: Option<v1::JobFilter>,
    prefix: &str,
    violations: &mut Violations,
) -> Option<JobFilter> {
    let filter = filter.unwrap_or_default();
    let at = Path::root(prefix);
    let before = violations.as_slice().len();
    let job_ids = job_ids(&filter.job_ids, at.field("job_ids"), violations);
    let states = any_of(&filter.states, at.field("states"), violations);
    let triggers = any_of(&filter.triggers, at.field("triggers"), violations);
    let types = names::known_types(&filter.types, &at.field("types").to_string(), violations);
    let categories =
        names::categories(&filter.categories, &at.field("categories").to_string(), violations);
    let queues = names::known_queues(&filter.queues, &at.field("queues").to_string(), violations);
    labels::check(&filter.labels, at.field("labels"), violations);
    let mut equal = |value: String, name| {
        text::key(&value, TEXT_BYTES_MAX, at.field(name), violations);
        (!value.is_empty()).then_some(value)
    };
    let owner = equal(filter.owner, "owner");
    let subject = equal(filter.subject, "subject");
    let external_id = equal(filter.external_id, "external_id");
    let created_by = equal(filter.created_by, "created_by");
    let worker_id = match filter.worker_id.as_str() {
        "" => None,
        name => at.field("worker_id").take(violations, WorkerName::new(name)),
    };
    let create_time = range(
        (filter.create_time_after, at.field("create_time_after")),
        (filter.create_time_before, at.field("create_time_before")),
        violations,
    );
    let end_time = range(
        (filter.end_time_after, at.field("end_time_after")),
        (filter.end_time_before, at.field("end_time_before")),
        violations,
    );
    if !is_clean(violations, before) {
        return None;
    }
    Some(JobFilter {
        job_ids,
        states,
        types: types?,
        categories: categories?,
        queues: queues?,
        labels: filter.labels,
        owner,
        subject,
        external_id,
        triggers,
        worker_id,
        created_by,
        create_time,
        end_time,
    })
}

fn is_short(length: usize, max: usize, at: Path<'_>, violations: &mut Violations) -> bool {
    at.check(violations, length <= max, || {
        format!("must have at most {max} elements, has {length}")
    });
    length <= max
}

fn job_ids(ids: &[String], at: Path<'_>, violations: &mut Violations) -> Vec<JobId> {
    if !is_short(ids.len(), FILTER_IDS_MAX, at, violations) {
        return Vec::new();
    }
    let mut read: Vec<JobId> = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        match id.parse() {
            Ok(id) => read.push(id),
            Err(_) => at.index(index).wrong(violations, "must be a UUID, as CreateJob answers it"),
        }
    }
    read.sort_unstable();
    read.dedup();
    read
}

/// Names of which any will do, each once; none is a restriction if one of them is unspecified.
fn any_of<T: Named + PartialEq>(
    numbers: &[i32],
    at: Path<'_>,
    violations: &mut Violations,
) -> Vec<T> {
    if !is_short(numbers.len(), NAMES_PER_LIST_MAX, at, violations) {
        return Vec::new();
    }
    let mut read = Vec::new();
    let mut unrestricted = false;
    for (index, number) in numbers.iter().enumerate() {
        match enums::read(*number, at.index(index), violations) {
            Some(Some(name)) if !read.contains(&name) => read.push(name),
            Some(Some(_)) | None => {}
            Some(None) => unrestricted = true,
        }
    }
    if unrestricted { Vec::new() } else { read }
}

type Bound<'a> = (Option<prost_types::Timestamp>, Path<'a>);

/// Moments from one on, up to another.
pub fn range(after: Bound<'_>, before: Bound<'_>, violations: &mut Violations) -> TimeRange {
    let (after_time, after_path) = after;
    let (before_time, before_path) = before;
    let after = after_time.and_then(|given| time::moment(given, after_path, violations));
    let before = before_time.and_then(|given| time::moment(given, before_path, violations));
    if let (Some(after), Some(before)) = (after, before) {
        before_path.check(violations, after <= before, || {
            "must not be earlier than the other end of its range".to_owned()
        });
    }
    TimeRange { after, before }
}

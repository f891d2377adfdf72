//! A job as a message.

use crate::domain::validate::Violations;
use crate::domain::{Job, Timestamp};
use crate::proto::v1;

use super::{spec, status};

/// How much of a job is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Without payload, result, `error.details` and `error.stack_trace`.
    Basic,
    /// Everything.
    Full,
}

/// The view that is asked for, `default` if unspecified.
pub fn view(number: i32, default: View, field: &str, violations: &mut Violations) -> Option<View> {
    match v1::JobView::try_from(number) {
        Ok(v1::JobView::Unspecified) => Some(default),
        Ok(v1::JobView::Basic) => Some(View::Basic),
        Ok(v1::JobView::Full) => Some(View::Full),
        Err(_) => {
            violations.add(field, format!("must be a JobView, {number} is none"));
            None
        }
    }
}

/// A job as it stands, with what follows from its progress at `now`.
#[must_use]
pub fn to_proto(job: &Job, view: View, now: Timestamp) -> v1::Job {
    v1::Job {
        id: job.id.to_string(),
        spec: Some(spec::to_proto(&job.spec, view)),
        status: Some(status::to_proto(job, view, now)),
    }
}

/// A job that was checked but not made: it has no id.
#[must_use]
pub fn unmade_to_proto(job: &Job, view: View, now: Timestamp) -> v1::Job {
    v1::Job { id: String::new(), ..to_proto(job, view, now) }
}

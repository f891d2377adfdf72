//! A job as callers see it now.

use crate::domain::Job;
use crate::engine::Engine;
use crate::proto::v1;

use super::convert::{self, View};

/// The job with what follows from its progress, and from what runs of its type take, now; progress from memory is
/// marked.
pub(super) fn job(engine: &Engine, job: &Job, view: View) -> v1::Job {
    let mut shown = convert::job::to_proto(job, view, engine.clock().now());
    mark(engine, job, shown.status.as_mut());
    shown
}

/// Its status alone, likewise.
pub(super) fn status(engine: &Engine, job: &Job, view: View) -> v1::JobStatus {
    let mut shown = convert::status::to_proto(job, view, engine.clock().now());
    mark(engine, job, Some(&mut shown));
    shown
}

fn mark(engine: &Engine, job: &Job, shown: Option<&mut v1::JobStatus>) {
    if let Some(progress) = shown.and_then(|status| status.progress.as_mut()) {
        progress.live = engine.is_live(job);
        if progress.remaining.is_none() {
            progress.remaining = engine.remaining(job).map(convert::time::span_to_proto);
        }
    }
}

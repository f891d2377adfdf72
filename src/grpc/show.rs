//! A job as callers see it now.

use crate::domain::Job;
use crate::engine::Engine;
use crate::proto::v1;

use super::convert::{self, View};

/// The job with what follows from its progress now; progress from memory is marked.
pub(super) fn job(engine: &Engine, job: &Job, view: View) -> v1::Job {
    let mut shown = convert::job::to_proto(job, view, engine.clock().now());
    let progress = shown.status.as_mut().and_then(|status| status.progress.as_mut());
    if let Some(progress) = progress {
        progress.live = engine.is_live(job);
    }
    shown
}

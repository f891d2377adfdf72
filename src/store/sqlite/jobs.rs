//! Writing jobs: specs, statuses, progress, history, and taking all of it away.

use crate::domain::job::Job;
use crate::domain::status::{State, StateKind};
use crate::domain::{SessionId, Timestamp};
use crate::store::Result;
use crate::store::flushed::{Columns, Flushed, only_forward};
use crate::store::passed::Passed;
use crate::store::rows::{
    clock_time, encode, encode_spec, encode_status, state_code, trigger_code,
};

use super::input::{Rows, ids};
use super::script::Script;

pub(super) const STATEMENTS: &[&str] = &[
    INSERT_JOBS,
    INSERT_LABELS,
    UPSERT_STATUS,
    DELETE_PROGRESS,
    INSERT_ATTEMPTS,
    UPSERT_PROGRESS,
    DELETE_LABELS,
    DELETE_JOBS,
    DELETE_STATUS,
    DELETE_ATTEMPTS,
    DELETE_LOGS,
];

const INSERT_JOBS: &str = "INSERT INTO jobs (id, job_type, queue, owner, subject, external_id, \
    created_by, trigger, category, create_time, labels, spec, payload) \
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
    value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, \
    substr(?2, value ->> 11, value ->> 12), substr(?2, value ->> 13, value ->> 14) \
    FROM jsonb_each(?1)";

const INSERT_LABELS: &str = "INSERT INTO job_labels (key, value, job_id) \
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each(?1)";

const UPSERT_STATUS: &str = "INSERT INTO job_status (id, job_type, queue, state, revision, \
    lease_epoch, ready_key, schedule_time, session_id, worker_id, deadline, end_time, \
    update_time, status, result, purge_time, concurrency_key) \
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
    value ->> 6, value ->> 7, unhex(value ->> 8), value ->> 9, \
    iif(value ->> 3 < 2, value ->> 10, NULL), value ->> 11, \
    value ->> 12, substr(?2, value ->> 13, value ->> 14), substr(?2, value ->> 15, value ->> 16), \
    iif(value ->> 3 >= 2, value ->> 10, NULL), value ->> 17 FROM jsonb_each(?1) WHERE true \
    ON CONFLICT (id) DO UPDATE SET queue = excluded.queue, state = excluded.state, \
    revision = excluded.revision, lease_epoch = excluded.lease_epoch, \
    ready_key = excluded.ready_key, schedule_time = excluded.schedule_time, \
    session_id = excluded.session_id, worker_id = excluded.worker_id, \
    deadline = excluded.deadline, end_time = excluded.end_time, \
    update_time = excluded.update_time, status = excluded.status, result = excluded.result, \
    purge_time = excluded.purge_time, concurrency_key = excluded.concurrency_key";

const DELETE_PROGRESS: &str =
    "DELETE FROM job_progress WHERE id IN (SELECT unhex(value) FROM json_each(?1))";

const INSERT_ATTEMPTS: &str = "INSERT INTO job_attempts (job_id, lease_epoch, attempt) \
    SELECT unhex(value ->> 0), value ->> 1, substr(?2, value ->> 2, value ->> 3) \
    FROM jsonb_each(?1)";

const UPSERT_PROGRESS: &str = concat!(
    "INSERT INTO job_progress (id, lease_epoch, sequence, data, active, used) \
    SELECT s.id, e.value ->> 1, e.value ->> 2, substr(?2, e.value ->> 3, e.value ->> 4), \
    substr(?2, e.value ->> 5, e.value ->> 6), substr(?2, e.value ->> 7, e.value ->> 8) \
    FROM jsonb_each(?1) AS e CROSS JOIN job_status AS s ON s.id = unhex(e.value ->> 0) \
    WHERE s.state = 1 AND s.lease_epoch = e.value ->> 1 ",
    only_forward!()
);

const DELETE_LABELS: &str = "DELETE FROM job_labels WHERE (key, value, job_id) IN (\
    SELECT l.key, l.value, j.id FROM json_each(?1) AS e \
    CROSS JOIN jobs AS j ON j.id = unhex(e.value) CROSS JOIN json_each(j.labels) AS l)";

const DELETE_JOBS: &str = "DELETE FROM jobs WHERE id IN (SELECT unhex(value) FROM json_each(?1))";

const DELETE_STATUS: &str =
    "DELETE FROM job_status WHERE id IN (SELECT unhex(value) FROM json_each(?1))";

const DELETE_ATTEMPTS: &str =
    "DELETE FROM job_attempts WHERE job_id IN (SELECT unhex(value) FROM json_each(?1))";

const DELETE_LOGS: &str =
    "DELETE FROM job_logs WHERE job_id IN (SELECT unhex(value) FROM json_each(?1))";

/// Writes what never changes of new jobs.
pub(super) fn create(script: &mut Script, passed: &Passed<'_>) -> Result<()> {
    let mut jobs = Rows::default();
    let mut labels = Rows::default();
    for new in passed.creates() {
        let Job { id, spec, status } = &new.job;
        jobs.row()
            .hex(id.0.as_bytes())
            .text(spec.job_type.as_str())
            .text(spec.queue.as_str())
            .text(&spec.owner)
            .text(&spec.subject)
            .text(&spec.external_id)
            .text(&status.created_by)
            .int(trigger_code(status.trigger))
            .maybe_text(status.category.as_ref().map(crate::domain::Category::as_str))
            .int(status.create_time.as_micros())
            .json(&labels_json(&spec.labels))
            .slice(&encode_spec(&new.job)?)
            .maybe_slice(spec.payload.as_deref());
        for (key, value) in &spec.labels {
            labels.row().text(key).text(value).hex(id.0.as_bytes());
        }
    }
    script.add_rows(INSERT_JOBS, jobs);
    script.add_rows(INSERT_LABELS, labels);
    Ok(())
}

fn labels_json(labels: &std::collections::BTreeMap<String, String>) -> String {
    let labels = labels.iter().map(|(key, value)| (key.clone(), value.clone().into()));
    serde_json::Value::Object(labels.collect()).to_string()
}

/// Writes the statuses of new and changed jobs.
pub(super) fn write_statuses(script: &mut Script, passed: &Passed<'_>) -> Result<()> {
    let mut rows = Rows::default();
    let changed = passed.writes().map(|write| &write.job);
    for job in passed.creates().map(|new| &new.job).chain(changed) {
        status_row(&mut rows, job)?;
    }
    script.add_rows(UPSERT_STATUS, rows);
    // Progress belongs to a lease: it goes when the lease does.
    let closed = passed.writes().filter(|write| {
        let status = &write.job.status;
        write.before.state == StateKind::Running
            && (status.kind() != StateKind::Running || status.lease_epoch != write.expected_epoch)
    });
    script.add_ids(DELETE_PROGRESS, ids(closed.map(|write| &write.job.id.0)));
    Ok(())
}

fn status_row(rows: &mut Rows, job: &Job) -> Result<()> {
    let Job { id, spec, status } = job;
    let ready_key = match status.state {
        State::Pending { ready_key } => Some(ready_key.as_micros()),
        State::Running { .. }
        | State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Skipped { .. } => None,
    };
    let session = status.session();
    rows.row()
        .hex(id.0.as_bytes())
        .text(spec.job_type.as_str())
        .text(status.effective.queue.as_str())
        .int(state_code(status.kind()))
        .int(status.revision)
        .int(status.lease_epoch)
        .maybe_int(ready_key)
        .int(status.schedule_time.as_micros())
        .maybe_hex(session.as_ref().map(|SessionId(id)| id.as_bytes().as_slice()))
        .maybe_text(status.execution.as_ref().map(|execution| execution.worker_id.as_str()))
        .maybe_int(clock_time(job))
        .maybe_int(status.end_time.map(Timestamp::as_micros))
        .int(status.update_time.as_micros())
        .slice(&encode_status(status)?)
        .maybe_slice(status.result.as_deref())
        .maybe_text(status.concurrency_key());
    Ok(())
}

/// Writes the executions that statuses forgot.
pub(super) fn supersede(script: &mut Script, passed: &Passed<'_>) -> Result<()> {
    let mut rows = Rows::default();
    for write in passed.writes() {
        for attempt in &write.superseded {
            rows.row()
                .hex(write.job.id.0.as_bytes())
                .int(attempt.lease_epoch)
                .slice(&encode(attempt)?);
        }
    }
    script.add_rows(INSERT_ATTEMPTS, rows);
    Ok(())
}

/// Writes the progress of those that run with its epoch, and only forward.
pub(super) fn write_progress(script: &mut Script, passed: &Passed<'_>) -> Result<()> {
    let mut rows = Rows::default();
    for write in &passed.batch.progress {
        let Columns { sequence, data, active, used } = Flushed::from(write.clone()).columns()?;
        rows.row()
            .hex(write.job_id.0.as_bytes())
            .int(write.lease_epoch)
            .int(sequence)
            .slice(&data)
            .slice(&active)
            .slice(&used);
    }
    script.add_rows(UPSERT_PROGRESS, rows);
    Ok(())
}

/// Takes away all that is kept of a job but its keys.
pub(super) fn delete(script: &mut Script, passed: &Passed<'_>) {
    forget(script, &ids(passed.deletes().map(|delete| &delete.job.id.0)));
}

/// The same of these ids.
pub(super) fn forget(script: &mut Script, gone: &str) {
    for statement in
        [DELETE_LABELS, DELETE_JOBS, DELETE_STATUS, DELETE_PROGRESS, DELETE_ATTEMPTS, DELETE_LOGS]
    {
        script.add_ids(statement, gone.to_owned());
    }
}

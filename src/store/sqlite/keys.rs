//! Unique names: who asks, who holds, who gets them.

use std::collections::HashMap;

use crate::domain::{JobId, JobType};
use crate::store::names::{self, Name};
use crate::store::passed::Passed;
use crate::store::rows::{id, key_code};
use crate::store::{Batch, Committed, KeyChange, KnownRequest, Result};

use super::error::from_sqlx;
use super::input::{Rows, ids};
use super::script::{Place, Script};

pub(super) const STATEMENTS: &[&str] = &[HOLDERS, TAKE, RELEASE, FORGET, LET_GO, REQUEST, UNIQUE];

/// The places of those rows [kind, scope, key] that are taken, and by which job.
const HOLDERS: &str = "SELECT e.key, k.job_id FROM jsonb_each(?1) AS e \
    CROSS JOIN job_keys AS k ON k.kind = e.value ->> 0 AND k.scope = e.value ->> 1 \
    AND k.key = e.value ->> 2";

const TAKE: &str = "INSERT INTO job_keys (kind, scope, key, job_id, fingerprint, create_time) \
    SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), unhex(value ->> 4), \
    value ->> 5 FROM jsonb_each(?1) WHERE true ON CONFLICT DO NOTHING";

/// Named by its index: the planner would rather walk all keys of the kind.
const RELEASE: &str = "DELETE FROM job_keys INDEXED BY job_keys_job \
    WHERE kind = 1 AND job_id IN (SELECT unhex(value) FROM json_each(?1))";

/// The run of a nominal time is known as long as its job; the schedule's cursor has long passed it then.
const FORGET: &str = "DELETE FROM job_keys INDEXED BY job_keys_job \
    WHERE kind = 2 AND job_id IN (SELECT unhex(value) FROM json_each(?1))";

/// Request ids outlive their job; from now on they may be pruned.
const LET_GO: &str = "UPDATE job_keys INDEXED BY job_keys_job SET job_gone = 1 \
    WHERE kind = 0 AND job_id IN (SELECT unhex(value) FROM json_each(?1))";

const UNIQUE: &str = "SELECT job_id FROM job_keys WHERE kind = 1 AND scope = ?1 AND key = ?2";

const REQUEST: &str =
    "SELECT job_id, fingerprint FROM job_keys WHERE kind = 0 AND scope = ?1 AND key = ?2";

/// Asks who holds these names.
pub(super) fn ask(script: &mut Script, names: &[Name<'_>]) -> Option<Place> {
    let mut rows = Rows::default();
    for (kind, scope, key) in names {
        rows.row().int(key_code(*kind)).text(scope).text(key);
    }
    script.add_rows(HOLDERS, rows)
}

/// Who holds them, by the answer to [`ask`].
pub(super) fn holders<'a>(
    names: &[Name<'a>],
    found: Vec<(i64, Vec<u8>)>,
) -> Result<HashMap<Name<'a>, JobId>> {
    let mut holders = HashMap::with_capacity(names.len());
    for (place, holder) in found {
        if let Some(name) = usize::try_from(place).ok().and_then(|place| names.get(place)) {
            holders.insert(*name, JobId(id("job_keys.job_id", &holder)?));
        }
    }
    Ok(holders)
}

/// Gives keys to those who ask, in the order of the batch, and marks in `committed` who came late.
pub(super) fn take<'a>(
    script: &mut Script,
    batch: &'a Batch,
    holders: HashMap<Name<'a>, JobId>,
    committed: &mut Committed,
) {
    let mut rows = Rows::default();
    for claim in names::give(batch, committed, holders) {
        let (kind, scope, key) = claim.name;
        rows.row()
            .int(key_code(kind))
            .text(scope)
            .text(key)
            .hex(claim.job_id.0.as_bytes())
            .maybe_hex(claim.fingerprint.map(<[u8; 32]>::as_slice))
            .int(claim.time.as_micros());
    }
    script.add_rows(TAKE, rows);
}

/// Takes back the unique keys of jobs that are over or gone; request ids stay.
pub(super) fn release(script: &mut Script, passed: &Passed<'_>) {
    let over = passed
        .writes()
        .filter(|write| write.key == KeyChange::Release)
        .map(|write| &write.job)
        .chain(passed.deletes().map(|delete| &delete.job))
        .filter(|job| !job.spec.unique_key.is_empty());
    let over = ids(over.map(|job| &job.id.0));
    script.add_ids(RELEASE, over);
    script.add_ids(FORGET, ids(passed.deletes().map(|delete| &delete.job.id.0)));
    script.add_ids(LET_GO, ids(passed.deletes().map(|delete| &delete.job.id.0)));
}

/// Takes back every name of jobs that are gone; request ids stay.
pub(super) fn forget(script: &mut Script, gone: &str) {
    for statement in [RELEASE, FORGET, LET_GO] {
        script.add_ids(statement, gone.to_owned());
    }
}

/// The job that holds a unique key.
pub(super) async fn unique_holder(
    readers: &sqlx::SqlitePool,
    job_type: &JobType,
    key: &str,
) -> Result<Option<JobId>> {
    let found: Option<Vec<u8>> = sqlx::query_scalar(UNIQUE)
        .bind(job_type.as_str())
        .bind(key)
        .fetch_optional(readers)
        .await
        .map_err(from_sqlx)?;
    found.map(|bytes| id("job_keys.job_id", &bytes).map(JobId)).transpose()
}

/// The job that a request id made.
pub(super) async fn request(
    readers: &sqlx::SqlitePool,
    caller: &str,
    request_id: &str,
) -> Result<Option<KnownRequest>> {
    let found: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(REQUEST)
        .bind(caller)
        .bind(request_id)
        .fetch_optional(readers)
        .await
        .map_err(from_sqlx)?;
    let Some((job_id, fingerprint)) = found else {
        return Ok(None);
    };
    let fingerprint = fingerprint
        .try_into()
        .map_err(|_| crate::store::rows::corrupt("job_keys.fingerprint", "not 32 bytes"))?;
    Ok(Some(KnownRequest { job_id: JobId(id("job_keys.job_id", &job_id)?), fingerprint }))
}

//! Unique names: who holds them, who gets them.

use std::collections::HashMap;

use uuid::Uuid;

use crate::domain::{JobId, JobType};
use crate::store::names::{self, Name};
use crate::store::rows::{corrupt, key_code};
use crate::store::{Batch, Committed, Error, KnownRequest, Result};

use super::bound::Bound;
use super::commit::Failed;
use super::error::from_sqlx;
use super::pool::{Link, Pool};
use super::write::Names;

pub(super) const STATEMENTS: &[&str] = &[HOLDERS, TAKE, REQUEST, UNIQUE];

/// The places (from 1) of those names that are taken, and by which job.
const HOLDERS: &str = "SELECT w.place, k.job_id \
    FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY \
    AS w(kind, scope, key, place) \
    JOIN job_keys AS k ON k.kind = w.kind AND k.scope = w.scope AND k.key = w.key";

/// Waits for whoever takes one of them in this moment.
const TAKE: &str = "INSERT INTO job_keys (kind, scope, key, job_id, fingerprint, create_time) \
    SELECT kind, scope, key, job_id, fingerprint, create_time \
    FROM unnest($1::smallint[], $2::text[], $3::text[], $4::uuid[], $5::bytea[], $6::bigint[]) \
    WITH ORDINALITY AS w(kind, scope, key, job_id, fingerprint, create_time, place) \
    ORDER BY place ON CONFLICT DO NOTHING";

const UNIQUE: &str = "SELECT job_id FROM job_keys WHERE kind = 1 AND scope = $1 AND key = $2";

const REQUEST: &str =
    "SELECT job_id, fingerprint FROM job_keys WHERE kind = 0 AND scope = $1 AND key = $2";

/// Gives names to those who ask, in the order of the batch, and marks in `committed` who came late.
pub(super) async fn take(
    link: &mut Link,
    batch: &Batch,
    committed: &mut Committed,
) -> Result<(), Failed> {
    let asked = names::asked(batch);
    if asked.is_empty() {
        return Ok(());
    }
    let holders = holders(link, &asked).await?;
    let claims = names::give(batch, committed, holders);
    if claims.is_empty() {
        return Ok(());
    }
    let query = link.query_with(TAKE, Names::of(&claims).bind(Bound::default()).all()?);
    let done = query.execute(&mut **link).await.map_err(|error| Failed::from(from_sqlx(error)))?;
    if done.rows_affected() < claims.len() as u64 {
        // Whoever it was is seen the next time, or gone.
        return Err(Failed::Collided(Error::Unavailable(std::sync::Arc::new(TakenMeanwhile))));
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("others take the same unique keys again and again")]
struct TakenMeanwhile;

/// Who holds these names.
pub(super) async fn holders<'a>(
    link: &mut Link,
    asked: &[Name<'a>],
) -> Result<HashMap<Name<'a>, JobId>> {
    let kinds: Vec<i16> =
        asked.iter().map(|(kind, ..)| i16::try_from(key_code(*kind)).unwrap_or(i16::MAX)).collect();
    let scopes: Vec<&str> = asked.iter().map(|(_, scope, _)| *scope).collect();
    let keys: Vec<&str> = asked.iter().map(|(_, _, key)| *key).collect();
    let query = link.query_as(HOLDERS).bind(kinds).bind(scopes).bind(keys);
    let found: Vec<(i64, Uuid)> = query.fetch_all(&mut **link).await.map_err(from_sqlx)?;
    let name = |place: i64| asked.get(usize::try_from(place - 1).ok()?).copied();
    let held = found.into_iter();
    Ok(held.filter_map(|(place, holder)| Some((name(place)?, JobId(holder)))).collect())
}

/// The job that holds a unique key.
pub(super) async fn unique_holder(
    pool: &Pool,
    job_type: &JobType,
    key: &str,
) -> Result<Option<JobId>> {
    let mut link = pool.read().await?;
    let query = link.query_scalar::<Uuid>(UNIQUE).bind(job_type.as_str()).bind(key);
    let found = query.fetch_optional(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(found.map(JobId))
}

/// The job that a request id made.
pub(super) async fn request(
    pool: &Pool,
    caller: &str,
    request_id: &str,
) -> Result<Option<KnownRequest>> {
    let mut link = pool.read().await?;
    let query = link.query_as(REQUEST).bind(caller).bind(request_id);
    let found: Option<(Uuid, Vec<u8>)> =
        query.fetch_optional(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let Some((job_id, fingerprint)) = found else {
        return Ok(None);
    };
    let fingerprint =
        fingerprint.try_into().map_err(|_| corrupt("job_keys.fingerprint", "not 32 bytes"))?;
    Ok(Some(KnownRequest { job_id: JobId(job_id), fingerprint }))
}

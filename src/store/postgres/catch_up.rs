//! What was done since a place, and how those jobs stand, as one moment shows both.

use crate::domain::limits::LOOP_ROWS_MAX;
use crate::domain::{Job, JobId, Position};
use crate::store::{Caught, ChangesSince, Result};

use super::error::from_sqlx;
use super::pool::{Link, Pool};
use super::{changes, read};

pub(super) const STATEMENTS: &[&str] = &[ONE_MOMENT];

const ONE_MOMENT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What was done since `position`, and how those jobs stand.
pub(super) async fn catch_up(pool: &Pool, position: &Position, limit: usize) -> Result<Caught> {
    loop {
        let mut link = pool.begin().await?;
        link.query(ONE_MOMENT).execute(&mut *link).await.map_err(from_sqlx)?;
        let Some(changes) = changes::read_since(&mut link, position, limit).await? else {
            drop(link);
            changes::enumerate(pool).await?;
            continue;
        };
        let ChangesSince::Found { ids, position: leads_to, .. } = &changes else {
            // Rows may be left unread, so the connection is not used again.
            return Ok(Caught { changes, jobs: Vec::new(), read_through: position.clone() });
        };
        let read_through = leads_to.clone();
        let jobs = jobs(&mut link, ids).await?;
        link.done().await?;
        return Ok(Caught { changes, jobs, read_through });
    }
}

async fn jobs(link: &mut Link, ids: &[JobId]) -> Result<Vec<Job>> {
    let mut jobs = Vec::with_capacity(ids.len());
    for some in ids.chunks(LOOP_ROWS_MAX) {
        jobs.extend(read::load_on(link, some).await?);
    }
    Ok(jobs)
}

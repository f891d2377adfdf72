//! What was done since a place, and how those jobs stand, as one moment shows both.

use crate::domain::limits::{
    CATCH_UP_BYTES_MAX, LOOP_ROWS_MAX, PAYLOAD_BYTES_MAX, WATCH_PAGE_JOBS_FULL,
};
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
        let Some(changes) = changes::read_since(&mut link, position, &[], limit).await? else {
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
        return Ok(match jobs {
            Some(jobs) => Caught { changes, jobs, read_through },
            None => Caught {
                changes: ChangesSince::TooMany,
                jobs: Vec::new(),
                read_through: position.clone(),
            },
        });
    }
}

/// These jobs, unless they are too large together.
async fn jobs(link: &mut Link, mut ids: &[JobId]) -> Result<Option<Vec<Job>>> {
    let (mut jobs, mut room) = (Vec::with_capacity(ids.len()), CATCH_UP_BYTES_MAX);
    while !ids.is_empty() {
        let (some, rest) = ids.split_at(at_once(room).min(ids.len()));
        let found = read::load_on(link, some).await?;
        let weight = found.iter().map(Job::weight).sum();
        let Some(left) = room.checked_sub(weight) else { return Ok(None) };
        (ids, room) = (rest, left);
        jobs.extend(found);
    }
    Ok(Some(jobs))
}

/// So many jobs hardly take more bytes than these, each with a payload and a result; towards the end, a few.
fn at_once(room: usize) -> usize {
    (room / (2 * PAYLOAD_BYTES_MAX)).clamp(WATCH_PAGE_JOBS_FULL, LOOP_ROWS_MAX)
}

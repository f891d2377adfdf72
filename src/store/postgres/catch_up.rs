//! What was done since a place, and how those jobs stand, as one moment shows both.

use crate::domain::{Job, JobId, Position};
use crate::store::haul::Haul;
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
            None => Caught::too_much(position),
        });
    }
}

/// These jobs, unless they are too large together.
async fn jobs(link: &mut Link, mut ids: &[JobId]) -> Result<Option<Vec<Job>>> {
    let mut haul = Haul::new();
    while !ids.is_empty() {
        let (some, rest) = ids.split_at(haul.at_once().min(ids.len()));
        if !haul.add(read::load_on(link, some).await?) {
            return Ok(None);
        }
        ids = rest;
    }
    Ok(Some(haul.jobs()))
}

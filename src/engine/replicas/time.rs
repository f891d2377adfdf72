//! Going by the store's clock: all servers over one store decide by the same time.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::limits::{CLOCK_READING_WITHIN, CLOCK_READINGS_MAX};
use crate::runtime::Clock;
use crate::store::{self, Store};

use super::super::Engine;
use super::super::error::Result;

/// What the store's clock said at a moment, give or take half of what asking took.
struct Reading {
    moment: Timestamp,
    took: Duration,
}

async fn read(store: &dyn Store) -> store::Result<Option<Reading>> {
    let asked = Clock::monotonic();
    let Some(moment) = store.time().await? else { return Ok(None) };
    let took = Clock::monotonic().duration_since(asked);
    Ok(Some(Reading { moment: moment.plus(took / 2), took }))
}

/// The best of a few readings: one that took long tells little.
async fn best(store: &dyn Store) -> store::Result<Option<Timestamp>> {
    for _ in 0..CLOCK_READINGS_MAX {
        match read(store).await? {
            Some(reading) if reading.took > CLOCK_READING_WITHIN => {}
            reading => return Ok(reading.map(|reading| reading.moment)),
        }
    }
    Ok(None)
}

/// Sets the clock to that of a shared store; before anything is decided by it.
///
/// # Errors
/// If the store fails.
pub async fn set(clock: &Clock, store: &Arc<dyn Store>) -> store::Result<()> {
    if store.is_shared()
        && let Some(reading) = read(store.as_ref()).await?
    {
        clock.set(reading.moment);
    }
    Ok(())
}

impl Engine {
    /// Has the clock follow that of the store.
    pub async fn follow_clock(&self) -> Result<u64> {
        let moment = self.loop_db.read(|store| async move { best(store.as_ref()).await }).await?;
        if let Some(moment) = moment {
            self.clock.follow(moment);
        }
        Ok(0)
    }

    /// Sums up what commits left to be summed up.
    pub async fn fold(&self) -> Result<u64> {
        self.loop_db.read(|store| async move { store.fold().await }).await
    }
}

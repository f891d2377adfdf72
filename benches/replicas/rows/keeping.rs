//! What keeping the house costs those who work in it.

use anyhow::Result;

use super::Setting;
use crate::bare::store::Telling;
use crate::harness::child::Loop;
use crate::harness::measure::{Figure, Measurable as _};
use crate::harness::telling;

/// The store with what the server tells and records of jobs, and without.
pub async fn events_and_audit(setting: Setting) -> Result<Figure> {
    told(setting, Telling::Usual).await
}

/// The same with an event for each success.
pub async fn events_of_successes(setting: Setting) -> Result<Figure> {
    told(setting, Telling::Successes).await
}

async fn told(setting: Setting, telling: Telling) -> Result<Figure> {
    setting.postgres.clear().await;
    let (one, other) = (setting.postgres.database().await, setting.postgres.database().await);
    let telling = Loop::postgres_store(setting.places.server, &one, telling)?;
    let silent = Loop::postgres_store(setting.places.server, &other, Telling::Nothing)?;
    telling::cost(&setting.plan, telling, silent, || setting.postgres.cpu_time()).await
}

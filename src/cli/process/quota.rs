//! What a command says it used of outside quotas: lines such as `{"quota_use":{"youtube":240}}`. Pure.
//!
//! The units are all that the attempt has used so far, so a line may be repeated, or be lost, without harm: the last
//! word about a quota counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::said;
use crate::domain::ids::QuotaName;
use crate::domain::limits::{QUOTA_COSTS_MAX, QUOTA_UNITS_MAX};

#[cfg(test)]
mod tests;

/// Units used so far, by quota.
pub type QuotaUse = BTreeMap<String, i64>;

/// What a line says: a line of JSON with an object `quota_use` that the protocol takes. Else it is an ordinary line, so
/// that its writer finds it in the log.
pub(super) fn read(line: &str) -> Option<QuotaUse> {
    uses(&said::object(line, "quota_use")?)
}

fn uses(said: &Map<String, Value>) -> Option<QuotaUse> {
    let one = |(name, units): (&String, &Value)| {
        QuotaName::new(name).ok()?;
        Some((name.clone(), count(units)?))
    };
    let uses: QuotaUse = said.iter().map(one).collect::<Option<_>>()?;
    (1..=QUOTA_COSTS_MAX).contains(&uses.len()).then_some(uses)
}

/// Whole units: also such as are written as a double, as some languages do.
fn count(value: &Value) -> Option<i64> {
    said::count(value, 0..=i64::try_from(QUOTA_UNITS_MAX).unwrap_or(i64::MAX))
}

/// Adds what was said now to what was said before; `false`, and nothing is added, if these are more quotas than an
/// execution may use.
pub(super) fn add(so_far: &mut QuotaUse, said: &QuotaUse) -> bool {
    let new = said.keys().filter(|name| !so_far.contains_key(*name)).count();
    let fits = so_far.len() + new <= QUOTA_COSTS_MAX;
    if fits {
        so_far.extend(said.iter().map(|(name, units)| (name.clone(), *units)));
    }
    fits
}

//! Quotas.

use std::collections::BTreeMap;

use crate::domain::ids::QuotaName;
use crate::domain::limits::{QUOTA_COSTS_MAX, QUOTA_UNITS_MAX};
use crate::domain::quota::QuotaSpec;
use crate::domain::validate::Violations;
use crate::engine::Quota;
use crate::proto::v1;

use super::enums::Named as _;
use super::path::{Path, is_clean};
use super::{enums, number, time};

/// A quota as it is to be set up.
pub fn from_proto(
    quota: Option<v1::Quota>,
    violations: &mut Violations,
) -> Option<(QuotaName, QuotaSpec)> {
    let at = Path::root("quota");
    let Some(quota) = quota else {
        at.wrong(violations, "must be set");
        return None;
    };
    let before = violations.as_slice().len();
    let name = at.field("name").take(violations, QuotaName::new(&quota.name));
    let period = enums::read(quota.period, at.field("period"), violations);
    at.field("period").check(violations, period != Some(None), || "must be set".to_owned());
    let exhausted = enums::read(quota.on_exhausted, at.field("on_exhausted"), violations);
    let spec = QuotaSpec {
        limit: number::unsigned(quota.limit, at.field("limit"), violations),
        period: period.flatten().unwrap_or_default(),
        time_zone: quota.time_zone,
        on_exhausted: exhausted.flatten().unwrap_or_default(),
    };
    spec.compile("quota.", violations);
    Some((name?, spec)).filter(|_| is_clean(violations, before))
}

/// What an execution used so far of one quota.
pub fn used(
    said: &v1::QuotaUse,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<(QuotaName, u64)> {
    let name = at.field("name").take(violations, QuotaName::new(&said.name));
    let units = u64::try_from(said.units).ok().filter(|units| *units <= QUOTA_UNITS_MAX);
    at.field("units").check(violations, units.is_some(), || {
        format!("must be from 0 to {QUOTA_UNITS_MAX}, is {}", said.units)
    });
    name.zip(units)
}

/// What an execution used so far, by quota.
pub fn all_used(
    said: &[v1::QuotaUse],
    field: &str,
    violations: &mut Violations,
) -> BTreeMap<QuotaName, u64> {
    let at = Path::root(field);
    at.check(violations, said.len() <= QUOTA_COSTS_MAX, || {
        format!("must have at most {QUOTA_COSTS_MAX} elements, has {}", said.len())
    });
    let mut all = BTreeMap::new();
    for (place, one) in said.iter().enumerate().take(QUOTA_COSTS_MAX) {
        let at = at.index(place);
        if let Some((name, units)) = used(one, at, violations) {
            let new = all.insert(name, units).is_none();
            at.field("name").check(violations, new, || "must be named once".to_owned());
        }
    }
    all
}

/// A quota as a message.
#[must_use]
pub fn to_proto(quota: &Quota) -> v1::Quota {
    let usage = Some(usage_to_proto(quota));
    v1::Quota { usage, ..spec_to_proto(&quota.name, &quota.spec) }
}

/// A quota as it is set up, as a message.
#[must_use]
pub fn spec_to_proto(name: &QuotaName, spec: &QuotaSpec) -> v1::Quota {
    v1::Quota {
        name: name.to_string(),
        limit: signed(spec.limit),
        period: spec.period.to_wire(),
        time_zone: spec.time_zone.clone(),
        on_exhausted: spec.on_exhausted.to_wire(),
        usage: None,
    }
}

/// What is left of a quota.
#[must_use]
pub fn usage_to_proto(quota: &Quota) -> v1::QuotaUsage {
    v1::QuotaUsage {
        name: quota.name.to_string(),
        limit: signed(quota.spec.limit),
        used: signed(quota.used),
        remaining: signed(quota.remaining),
        reset_time: Some(time::to_proto(quota.reset_time)),
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

//! Quotas.

use crate::domain::ids::QuotaName;
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

//! What is measured of breakers and quotas.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::JobType;
use crate::domain::circuit::{CircuitPhase, CircuitState};
use crate::domain::ids::QuotaName;
use crate::domain::limits::{METRIC_QUOTAS_MAX, METRIC_TYPES_MAX};

use super::labels::{Label, Labels};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Type {
    r#type: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Quota {
    quota: Label,
}

/// How much of a quota is used.
#[derive(Debug, Clone)]
pub struct QuotaLevel {
    /// The quota.
    pub quota: QuotaName,
    /// Units used in this period.
    pub used: u64,
    /// Units in a period.
    pub limit: u64,
}

#[derive(Debug)]
pub(super) struct Rules {
    types: Labels,
    quotas: Labels,
    circuits: Family<Type, Gauge>,
    used: Family<Quota, Gauge>,
    limits: Family<Quota, Gauge>,
}

impl Rules {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rules = Self {
            types: Labels::new(METRIC_TYPES_MAX),
            quotas: Labels::new(METRIC_QUOTAS_MAX),
            circuits: Family::default(),
            used: Family::default(),
            limits: Family::default(),
        };
        registry.register(
            "circuit_state",
            "Circuit breakers: 0 closed, 1 half open, 2 open; the worst of those that share a label",
            rules.circuits.clone(),
        );
        registry.register(
            "quota_used_units",
            "Units of a quota used in this period",
            rules.used.clone(),
        );
        registry.register(
            "quota_limit_units",
            "Units of a quota in a period",
            rules.limits.clone(),
        );
        rules
    }

    pub(super) fn circuits<'a>(
        &self,
        circuits: impl Iterator<Item = (&'a JobType, &'a CircuitState)>,
    ) {
        self.circuits.clear();
        for (job_type, state) in circuits {
            let level = match state.phase {
                CircuitPhase::Closed { .. } => 0,
                CircuitPhase::HalfOpen { .. } => 1,
                CircuitPhase::Open { .. } => 2,
            };
            let r#type = self.types.of(job_type.as_str());
            let gauge = self.circuits.get_or_create_owned(&Type { r#type });
            gauge.set(gauge.get().max(level));
        }
    }

    pub(super) fn quotas(&self, levels: &[QuotaLevel]) {
        self.used.clear();
        self.limits.clear();
        let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        for level in levels {
            let labels = Quota { quota: self.quotas.of(level.quota.as_str()) };
            self.used.get_or_create(&labels).inc_by(units(level.used));
            self.limits.get_or_create(&labels).inc_by(units(level.limit));
        }
    }
}

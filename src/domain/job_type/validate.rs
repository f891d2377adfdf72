//! The check of a definition: every wrong field is named, all at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{JobDefaults, JobTypeSpec};
use crate::domain::ids::{Category, JobType, QueueName, QuotaName};
use crate::domain::limits::{
    CAP_MAX, DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, EXPECTED_GRACE_MAX,
    LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, QUOTA_COSTS_MAX, QUOTA_UNITS_MAX,
    REASON_BYTES_MAX, RETENTION_MAX, RETENTION_MIN, SPAN_MAX, TIMEOUT_MIN,
};
use crate::domain::quota::QuotaSpec;
use crate::domain::retry::RetryRule;
use crate::domain::validate::Violations;
use crate::domain::written;

const TIMEOUT: RangeInclusive<Duration> = TIMEOUT_MIN..=SPAN_MAX;
const GRACE: RangeInclusive<Duration> = TIMEOUT_MIN..=EXPECTED_GRACE_MAX;

/// Notes where fields of one prefix are wrong.
struct Check<'a> {
    prefix: &'a str,
    violations: &'a mut Violations,
}

impl Check<'_> {
    fn that(&mut self, good: bool, name: &str, description: impl FnOnce() -> String) {
        self.violations.check(good, &format!("{}{name}", self.prefix), description);
    }

    fn text(&mut self, text: &str, bytes_max: usize, name: &str) {
        self.that(text.len() <= bytes_max, name, || {
            format!("must have at most {bytes_max} bytes, has {}", text.len())
        });
        self.that(!text.contains('\0'), name, || "must not contain U+0000".to_owned());
    }

    fn span(&mut self, span: Option<Duration>, range: &RangeInclusive<Duration>, name: &str) {
        if let Some(span) = span.filter(|span| !range.contains(span)) {
            self.that(false, name, || written::out_of_range(span, range));
        }
    }

    fn cap(&mut self, cap: u32, least: u32, name: &str) {
        self.that((least..=CAP_MAX).contains(&cap), name, || {
            format!("must be from {least} to {CAP_MAX}, is {cap}")
        });
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>, name: &str) {
        self.that(labels.len() <= LABELS_MAX, name, || {
            format!("must have at most {LABELS_MAX} elements, has {}", labels.len())
        });
        for (key, value) in labels.iter().take(LABELS_MAX) {
            let at = format!("{name}[{key:?}]");
            self.that(!key.is_empty(), &at, || "must not have an empty key".to_owned());
            self.text(key, LABEL_KEY_BYTES_MAX, &at);
            self.text(value, LABEL_VALUE_BYTES_MAX, &at);
        }
    }
}

impl JobTypeSpec {
    /// Notes each field that is wrong, named after `prefix` (`job_type.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let field = |name: &str| format!("{prefix}{name}");
        // Names from a file have not been checked yet.
        violations.take(&field("type"), JobType::new(self.job_type.as_str()));
        if let Some(category) = &self.category {
            violations.take(&field("category"), Category::new(category.as_str()));
        }
        for (quota, cost) in self.quota_costs.iter().take(QUOTA_COSTS_MAX) {
            let at = field(&format!("quota_costs[{quota:?}]", quota = quota.as_str()));
            violations.take(&at, QuotaName::new(quota.as_str()));
            violations.check((1..=QUOTA_UNITS_MAX).contains(cost), &at, || {
                format!("must be from 1 to {QUOTA_UNITS_MAX}, is {cost}")
            });
        }
        let mut check = Check { prefix, violations };
        check.text(&self.display_name, DISPLAY_NAME_BYTES_MAX, "display_name");
        check.text(&self.description, DESCRIPTION_BYTES_MAX, "description");
        check.text(&self.disabled_reason, REASON_BYTES_MAX, "disabled_reason");
        check.cap(self.max_concurrent, 0, "max_concurrent");
        check.that(self.quota_costs.len() <= QUOTA_COSTS_MAX, "quota_costs", || {
            format!("must have at most {QUOTA_COSTS_MAX} elements, has {}", self.quota_costs.len())
        });
        if let Some(key) = &self.concurrency_key {
            check.cap(key.max_running, 1, "concurrency_key.max_running");
            check.text(&key.label, LABEL_KEY_BYTES_MAX, "concurrency_key.label");
            check.that(!key.label.is_empty(), "concurrency_key.label", || {
                "must not be empty".to_owned()
            });
        }
        if let Some(expected) = &self.expected {
            check.span(Some(expected.grace_period), &GRACE, "expected.grace_period");
            let kept = self.defaults.retention.unwrap_or(Duration::MAX);
            let grace = expected.grace_period;
            check.that(grace <= kept, "expected.grace_period", || {
                let [grace, kept] = [grace, kept].map(written::span_text);
                format!(
                    "must be at most {kept}, for defaults.retention keeps no run longer, is {grace}"
                )
            });
            check.that(self.schedule.is_some(), "expected", || {
                "needs a schedule that says when".to_owned()
            });
        }
        self.defaults.validate(&field("defaults."), violations);
        if let Some(schedule) = &self.schedule {
            schedule.compile(&field("schedule."), violations);
        }
        if let Some(rate) = &self.start_rate {
            rate.validate(&field("start_rate."), violations);
        }
        if let Some(circuit) = &self.circuit {
            circuit.validate(&field("circuit."), violations);
        }
        RetryRule::validate_all(&self.retry_rules, &field("retry_rules"), violations);
    }

    /// Notes each quota that is not there, and each that a start could never be drawn from.
    pub fn validate_quotas(
        &self,
        quotas: &BTreeMap<QuotaName, QuotaSpec>,
        prefix: &str,
        violations: &mut Violations,
    ) {
        for (name, cost) in &self.quota_costs {
            let at = format!("{prefix}quota_costs[{name:?}]", name = name.as_str());
            match quotas.get(name) {
                None => violations.add(at, "there is no such quota"),
                Some(quota) => violations.check(*cost <= quota.limit, &at, || {
                    format!("must be at most the quota's limit of {}, is {cost}", quota.limit)
                }),
            }
        }
    }
}

impl JobDefaults {
    fn validate(&self, prefix: &str, violations: &mut Violations) {
        if let Some(queue) = &self.queue {
            violations.take(&format!("{prefix}queue"), QueueName::new(queue.as_str()));
        }
        self.retry_policy.validate(&format!("{prefix}retry_policy."), violations);
        let mut check = Check { prefix, violations };
        check.span(self.timeout, &TIMEOUT, "timeout");
        check.span(self.stuck_after, &TIMEOUT, "stuck_after");
        check.span(self.retention, &(RETENTION_MIN..=RETENTION_MAX), "retention");
        let memory_max = i64::MAX.unsigned_abs();
        check.that(self.limits.memory_bytes <= memory_max, "limits.memory_bytes", || {
            format!("must be at most {memory_max}")
        });
        let percent = self.limits.cpu_percent;
        check.that((0.0..=f64::MAX).contains(&percent), "limits.cpu_percent", || {
            format!("must be at least 0, is {percent}")
        });
        check.labels(&self.labels, "labels");
    }
}

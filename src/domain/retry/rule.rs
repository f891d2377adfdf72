//! What an error means for the next attempt, by its code.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{QueueName, WorkerName};
use crate::domain::job::Priority;
use crate::domain::limits::{
    ERROR_CODE_BYTES_MAX, MEMORY_FACTOR_MAX, RETRY_DELAY_MAX, RETRY_DELAYS_MAX,
    RETRY_RULE_CODES_MAX, RETRY_RULES_MAX,
};
use crate::domain::status::Effective;
use crate::domain::validate::Violations;
use crate::domain::written;

/// What is done when an attempt fails with such a code. Of the rules of a job the first that fits
/// holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Codes it is for; `*` stands for any characters, `?` for one.
    pub codes: Vec<String>,
    /// Whether another attempt is made, if any is left and the worker does not say that it would not
    /// help.
    #[serde(default = "yes")]
    pub retry: bool,
    /// Waits in order, instead of those of the policy; past the end the last one again.
    #[serde(default, with = "written::spans", skip_serializing_if = "Vec::is_empty")]
    pub delays: Vec<Duration>,
    /// What is different in the next attempt.
    #[serde(default, skip_serializing_if = "Change::is_none")]
    pub change: Change,
}

fn yes() -> bool {
    true
}

/// What a retry changes. The spec stays; the status says what is in force.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// The memory limit grows by this factor; 0 = it stays.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_factor: f64,
    /// It grows no further than this; 0 = no end.
    #[serde(with = "written::size", skip_serializing_if = "is_none_at_all")]
    pub memory_bytes_max: u64,
    /// It waits in another queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// It stands in line otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// It keeps away from the worker it failed on, for a while.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub avoid_worker: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(factor: &f64) -> bool {
    *factor == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_none_at_all(bytes: &u64) -> bool {
    *bytes == 0
}

impl Change {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is in force after it for a job that failed on `worker`.
    #[must_use]
    pub fn apply(&self, held: &Effective, worker: Option<&WorkerName>) -> Effective {
        let mut next = held.clone();
        if self.memory_factor > 0.0 {
            next.limits.memory_bytes = self.grown(held.limits.memory_bytes);
        }
        if let Some(queue) = &self.queue {
            next.queue = queue.clone();
        }
        next.priority = self.priority.unwrap_or(held.priority);
        next.avoid_worker = worker.filter(|_| self.avoid_worker).cloned();
        next
    }

    /// A limit never shrinks by a rule, and no limit stays none.
    fn grown(&self, bytes: u64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a limit to the byte is nobody's wish, and casts of floats saturate"
        )]
        let grown = (bytes as f64 * self.memory_factor) as u64;
        let most = if self.memory_bytes_max == 0 { u64::MAX } else { self.memory_bytes_max };
        grown.min(most).max(bytes)
    }
}

impl RetryRule {
    /// The rule for `code`.
    #[must_use]
    pub fn find<'a>(rules: &'a [Self], code: &str) -> Option<&'a Self> {
        rules.iter().find(|rule| rule.codes.iter().any(|pattern| fits(pattern, code)))
    }

    /// The wait after the failed attempt number `attempt` (from 1), if this rule says one.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Option<Duration> {
        let place = usize::try_from(attempt.max(1) - 1).unwrap_or(usize::MAX);
        self.delays.get(place).or(self.delays.last()).copied()
    }

    /// Notes each field of `rules` that is wrong, named after `field` (`job_type.retry_rules`).
    pub fn validate_all(rules: &[Self], field: &str, violations: &mut Violations) {
        let count = rules.len();
        violations.check(count <= RETRY_RULES_MAX, field, || {
            format!("must have at most {RETRY_RULES_MAX} elements, has {count}")
        });
        for (at, rule) in rules.iter().take(RETRY_RULES_MAX).enumerate() {
            rule.validate(&format!("{field}[{at}]."), violations);
        }
    }

    fn validate(&self, prefix: &str, violations: &mut Violations) {
        let counted = (1..=RETRY_RULE_CODES_MAX).contains(&self.codes.len());
        violations.check(counted, &format!("{prefix}codes"), || {
            format!("must have 1 to {RETRY_RULE_CODES_MAX} elements, has {}", self.codes.len())
        });
        let sized = |code: &String| (1..=ERROR_CODE_BYTES_MAX).contains(&code.len());
        violations.check(self.codes.iter().all(sized), &format!("{prefix}codes"), || {
            format!("must have 1 to {ERROR_CODE_BYTES_MAX} characters each")
        });
        check_delays(&self.delays, &format!("{prefix}delays"), violations);
        let change = &self.change;
        for (is_empty, name) in [(self.delays.is_empty(), "delays"), (change.is_none(), "change")] {
            violations.check(self.retry || is_empty, &format!("{prefix}{name}"), || {
                "must not be set where the rule makes no other attempt".to_owned()
            });
        }
        let factor = change.memory_factor;
        violations.check(
            factor == 0.0 || (1.0..=MEMORY_FACTOR_MAX).contains(&factor),
            &format!("{prefix}change.memory_factor"),
            || format!("must be 0 or from 1 to {MEMORY_FACTOR_MAX}, is {factor}"),
        );
        if let Some(queue) = &change.queue {
            violations.take(&format!("{prefix}change.queue"), QueueName::new(queue.as_str()));
        }
    }
}

/// Notes what is wrong with a list of delays.
pub(super) fn check_delays(delays: &[Duration], field: &str, violations: &mut Violations) {
    violations.check(delays.len() <= RETRY_DELAYS_MAX, field, || {
        format!("must have at most {RETRY_DELAYS_MAX} elements, has {}", delays.len())
    });
    if let Some(delay) = delays.iter().find(|delay| **delay > RETRY_DELAY_MAX) {
        let [most, is] = [RETRY_DELAY_MAX, *delay].map(written::span_text);
        violations.add(field, format!("must be at most {most} each, one is {is}"));
    }
}

/// Whether `text` is of the form `pattern`, in time proportional to the product of their lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // The last star, and how much of the text it stands for so far.
    let mut star = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, seen) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

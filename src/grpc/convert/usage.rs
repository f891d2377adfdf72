//! What a job uses and may use.

use crate::domain::validate::Violations;
use crate::domain::{ResourceLimits, ResourceUsage};
use crate::engine::session::HostUsage;
use crate::proto::v1;

use super::number;
use super::path::{Path, is_clean};

/// What a worker measured.
pub fn from_proto(
    usage: v1::ResourceUsage,
    prefix: &str,
    violations: &mut Violations,
) -> Option<ResourceUsage> {
    let before = violations.as_slice().len();
    let at = Path::root(prefix);
    let cpu_percent = usage.cpu_percent.unwrap_or_default();
    number::within(cpu_percent, 0.0..=f64::MAX, at.field("cpu_percent"), violations);
    let memory = usage.memory_bytes.unwrap_or_default();
    let memory_bytes = number::unsigned(memory, at.field("memory_bytes"), violations);
    let peak = usage.peak_memory_bytes.unwrap_or_default();
    let peak_memory_bytes = number::unsigned(peak, at.field("peak_memory_bytes"), violations);
    is_clean(violations, before).then_some(ResourceUsage {
        cpu_percent,
        memory_bytes,
        peak_memory_bytes,
    })
}

/// How busy a worker's machine is.
pub fn host(usage: &v1::HostUsage, violations: &mut Violations) -> Option<HostUsage> {
    let before = violations.as_slice().len();
    let at = Path::root("heartbeat.host_usage");
    let cpu_percent = usage.cpu_percent.unwrap_or_default();
    number::within(cpu_percent, 0.0..=f64::MAX, at.field("cpu_percent"), violations);
    number::count(usage.memory_bytes.unwrap_or_default(), at.field("memory_bytes"), violations);
    let total = usage.memory_total_bytes.unwrap_or_default();
    number::count(total, at.field("memory_total_bytes"), violations);
    is_clean(violations, before).then_some(HostUsage {
        cpu_percent: usage.cpu_percent,
        memory_bytes: usage.memory_bytes,
        memory_total_bytes: usage.memory_total_bytes,
    })
}

/// What was measured; zero is not known.
#[must_use]
pub fn to_proto(usage: &ResourceUsage) -> v1::ResourceUsage {
    let bytes = |bytes: u64| (bytes > 0).then(|| i64::try_from(bytes).unwrap_or(i64::MAX));
    v1::ResourceUsage {
        cpu_percent: (usage.cpu_percent > 0.0).then_some(usage.cpu_percent),
        memory_bytes: bytes(usage.memory_bytes),
        peak_memory_bytes: bytes(usage.peak_memory_bytes),
    }
}

pub(super) fn limits_from_proto(
    limits: Option<v1::ResourceLimits>,
    at: Path<'_>,
    violations: &mut Violations,
) -> ResourceLimits {
    let Some(limits) = limits else { return ResourceLimits::default() };
    number::within(limits.cpu_percent, 0.0..=f64::MAX, at.field("cpu_percent"), violations);
    ResourceLimits {
        memory_bytes: number::unsigned(limits.memory_bytes, at.field("memory_bytes"), violations),
        cpu_percent: limits.cpu_percent,
    }
}

/// Limits as a message; unset if there are none.
pub(super) fn limits_to_proto(limits: &ResourceLimits) -> Option<v1::ResourceLimits> {
    (*limits != ResourceLimits::default()).then(|| v1::ResourceLimits {
        memory_bytes: i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX),
        cpu_percent: limits.cpu_percent,
    })
}

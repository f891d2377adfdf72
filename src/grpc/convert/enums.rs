//! Names that the wire and the domain share.

use crate::domain::event::Severity;
use crate::domain::job_type::TypeOrigin;
use crate::domain::quota::{OnExhausted, Period};
use crate::domain::schedule::OverlapPolicy;
use crate::domain::validate::Violations;
use crate::domain::{
    CancelCause, ErrorOrigin, LogLevel, OnStuck, Priority, SkipReason, StateKind, Trigger,
    UniquePolicy,
};
use crate::proto::v1;

use super::path::Path;

/// A name of the domain with its number on the wire, where zero is "unspecified".
pub trait Named: Copy {
    /// The enum in the API.
    const NAME: &'static str;

    /// The name of this number; `Ok(None)` if unspecified.
    ///
    /// # Errors
    /// The number is no name.
    fn from_wire(number: i32) -> Result<Option<Self>, UnknownName>;

    /// The number of this name.
    fn to_wire(self) -> i32;
}

/// A number that is no name of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a {name}, {number} is none")]
pub struct UnknownName {
    name: &'static str,
    number: i32,
}

/// A named value; `Some(None)` if unspecified, `None` if wrong.
pub fn from_proto<T: Named>(
    number: i32,
    field: &str,
    violations: &mut Violations,
) -> Option<Option<T>> {
    read(number, Path::root(field), violations)
}

#[expect(clippy::option_option, reason = "unspecified and wrong are two things")]
pub(super) fn read<T: Named>(
    number: i32,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<Option<T>> {
    at.take(violations, T::from_wire(number))
}

/// Both directions from one list, without a `_` arm either way.
macro_rules! named {
    ($domain:ty, $wire:ty as $name:literal: $($ours:ident = $theirs:ident),+ $(,)?) => {
        impl Named for $domain {
            const NAME: &'static str = $name;

            fn from_wire(number: i32) -> Result<Option<Self>, UnknownName> {
                match <$wire>::try_from(number) {
                    Ok(<$wire>::Unspecified) => Ok(None),
                    $(Ok(<$wire>::$theirs) => Ok(Some(Self::$ours)),)+
                    Err(_) => Err(UnknownName { name: Self::NAME, number }),
                }
            }

            fn to_wire(self) -> i32 {
                match self {
                    $(Self::$ours => <$wire>::$theirs.into(),)+
                }
            }
        }
    };
}

named!(Priority, v1::Priority as "Priority": Low = Low, Normal = Normal, High = High, Urgent = Urgent);
named!(OnStuck, v1::OnStuck as "OnStuck": Fail = Fail, Notify = Notify);
named!(UniquePolicy, v1::UniquePolicy as "UniquePolicy":
    Reject = Reject, ReturnExisting = ReturnExisting);
named!(Trigger, v1::JobTrigger as "JobTrigger":
    Api = Api, Manual = Manual, Schedule = Schedule, Worker = Worker);
named!(LogLevel, v1::LogLevel as "LogLevel":
    Debug = Debug, Info = Info, Warning = Warning, Error = Error);
named!(Severity, v1::EventSeverity as "EventSeverity":
    Info = Info, Warning = Warning, Error = Error);
named!(ErrorOrigin, v1::ErrorOrigin as "ErrorOrigin": Worker = Worker, Server = Server);
named!(StateKind, v1::JobState as "JobState":
    Pending = Pending, Running = Running, Succeeded = Succeeded, Failed = Failed,
    Cancelled = Cancelled, Skipped = Skipped);
named!(SkipReason, v1::SkipReason as "SkipReason":
    CircuitOpen = CircuitOpen, Overlap = Overlap, TypeDisabled = TypeDisabled,
    QuotaExhausted = QuotaExhausted, Missed = Missed);
named!(TypeOrigin, v1::JobTypeOrigin as "JobTypeOrigin":
    Declared = Declared, Observed = Observed);
named!(OverlapPolicy, v1::OverlapPolicy as "OverlapPolicy":
    Skip = Skip, Allow = Allow, QueueOne = QueueOne, CancelRunning = CancelRunning);
named!(Period, v1::QuotaPeriod as "QuotaPeriod":
    Hour = Hour, Day = Day, Week = Week, Month = Month);
named!(OnExhausted, v1::QuotaExhausted as "QuotaExhausted": Wait = Wait, Skip = Skip);
named!(CancelCause, v1::CancelCause as "CancelCause":
    Caller = Caller, Timeout = Timeout, Stuck = Stuck, ResourceLimit = ResourceLimit,
    Overlap = Overlap);

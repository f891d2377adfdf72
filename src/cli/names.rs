//! Enum values by name, as people write them: `failed`, `FAILED` and `JOB_STATE_FAILED` are the same.

use std::ffi::OsStr;
use std::marker::PhantomData;

use clap::builder::{PossibleValue, TypedValueParser};

use crate::proto::v1;

#[cfg(test)]
mod tests;

/// An enum of the protocol whose values have names.
pub trait Named: TryFrom<i32> + Copy {
    /// What its values' names begin with, for instance `JOB_STATE_`.
    const PREFIX: &'static str;
    /// Its values as people write them, if they do so on the command line.
    const WRITTEN: &'static [&'static str];
    /// The value's full name.
    fn full(&self) -> &'static str;
}

macro_rules! named {
    ($($name:ident: $prefix:literal $written:expr),* $(,)?) => {$(
        impl Named for v1::$name {
            const PREFIX: &'static str = $prefix;
            const WRITTEN: &'static [&'static str] = &$written;
            fn full(&self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

named! {
    AttemptOutcome: "ATTEMPT_OUTCOME_" [],
    CancelCause: "CANCEL_CAUSE_" [],
    CircuitState: "CIRCUIT_STATE_" [],
    ErrorOrigin: "ERROR_ORIGIN_" [],
    EventSeverity: "EVENT_SEVERITY_" [],
    JobState: "JOB_STATE_" ["pending", "running", "succeeded", "failed", "cancelled", "skipped"],
    JobTrigger: "JOB_TRIGGER_" [],
    JobTypeOrigin: "JOB_TYPE_ORIGIN_" [],
    LogLevel: "LOG_LEVEL_" ["debug", "info", "warning", "error"],
    Priority: "PRIORITY_" ["low", "normal", "high", "urgent"],
    QuotaExhausted: "QUOTA_EXHAUSTED_" ["wait", "skip"],
    QuotaPeriod: "QUOTA_PERIOD_" ["hour", "day", "week", "month"],
    SkipReason: "SKIP_REASON_" [],
    SweepBasis: "SWEEP_BASIS_" ["start", "progress"],
    UniquePolicy: "UNIQUE_POLICY_" ["reject", "return-existing"],
    WorkerState: "WORKER_STATE_" ["online", "draining", "lost"],
}

/// The value's name without its prefix.
#[must_use]
pub fn short<E: Named>(value: E) -> &'static str {
    value.full().strip_prefix(E::PREFIX).unwrap_or(value.full())
}

/// The name of a value from the wire without its prefix; empty for the unspecified one, the number for one that this
/// program does not know.
#[must_use]
pub fn word<E: Named>(number: i32) -> String {
    match E::try_from(number) {
        Ok(_) if number == 0 => String::new(),
        Ok(value) => short(value).to_owned(),
        Err(_) => number.to_string(),
    }
}

/// Reads values of an enum on the command line; shells learn from it which there are.
#[derive(Debug, Clone)]
pub struct Values<E>(PhantomData<E>);

/// See [`Values`].
#[must_use]
pub fn values<E: Named>() -> Values<E> {
    Values(PhantomData)
}

impl<E: Named + Send + Sync + 'static> TypedValueParser for Values<E> {
    type Value = E;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<E, clap::Error> {
        let parse = |text: &str| parse::<E>(text);
        TypedValueParser::parse_ref(&parse, command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(E::WRITTEN.iter().map(PossibleValue::new)))
    }
}

/// Values are numbered from 1 without holes.
fn all<E: Named>() -> impl Iterator<Item = E> {
    (1..).map_while(|number| E::try_from(number).ok())
}

/// The value as people write it: `return-existing`.
fn written<E: Named>(value: E) -> String {
    short(value).to_lowercase().replace('_', "-")
}

/// The value of a name in its short or long form, in either case, with `-` or `_`.
///
/// # Errors
///
/// A text that names no value, with those there are.
pub fn parse<E: Named>(text: &str) -> Result<E, String> {
    let wanted = text.trim().to_uppercase().replace('-', "_");
    let wanted = wanted.strip_prefix(E::PREFIX).unwrap_or(&wanted);
    all().find(|value| short(*value) == wanted).ok_or_else(|| {
        let names: Vec<String> = all::<E>().map(written).collect();
        format!("must be one of {}", names.join(", "))
    })
}

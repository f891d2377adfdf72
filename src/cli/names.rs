//! Enum values by name, as people write them: `failed`, `FAILED` and `JOB_STATE_FAILED` are the same.

use crate::proto::v1;

#[cfg(test)]
mod tests;

/// An enum of the protocol whose values have names.
pub trait Named: TryFrom<i32> + Copy {
    /// What its values' names begin with, for instance `JOB_STATE_`.
    const PREFIX: &'static str;
    /// The value's full name.
    fn full(&self) -> &'static str;
}

macro_rules! named {
    ($($name:ident: $prefix:literal),* $(,)?) => {$(
        impl Named for v1::$name {
            const PREFIX: &'static str = $prefix;
            fn full(&self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

named! {
    AttemptOutcome: "ATTEMPT_OUTCOME_",
    CancelCause: "CANCEL_CAUSE_",
    ErrorOrigin: "ERROR_ORIGIN_",
    JobState: "JOB_STATE_",
    JobTrigger: "JOB_TRIGGER_",
    LogLevel: "LOG_LEVEL_",
    Priority: "PRIORITY_",
    SkipReason: "SKIP_REASON_",
    UniquePolicy: "UNIQUE_POLICY_",
    WorkerState: "WORKER_STATE_",
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

/// The value of a name in its short or long form, in either case, with `-` or `_`.
///
/// # Errors
///
/// A text that names no value, with those there are.
pub fn parse<E: Named>(text: &str) -> Result<E, String> {
    let wanted = text.trim().to_uppercase().replace('-', "_");
    let wanted = wanted.strip_prefix(E::PREFIX).unwrap_or(&wanted);
    // Values are numbered from 1 without holes.
    let values = || (1..).map_while(|number| E::try_from(number).ok());
    values().find(|value| short(*value) == wanted).ok_or_else(|| {
        let names: Vec<String> = values().map(|value| short(value).to_lowercase()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

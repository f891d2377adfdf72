//! Cron expressions, on wall clocks alone: which moments those are is for the zone to say.

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

use crate::domain::limits::CRON_BYTES_MAX;

/// A text that is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// Longer than [`CRON_BYTES_MAX`].
    #[error("must have at most {CRON_BYTES_MAX} characters, has {0}")]
    TooLong(usize),
    /// Against the grammar.
    #[error(
        "{0}; must be 5 fields (minute hour day month weekday), 6 with seconds first, or @hourly, \
         @daily, @weekly, @monthly or @yearly"
    )]
    Malformed(String),
    /// A name with `@` that is none.
    #[error(
        "{name} is not known; must be @hourly, @daily, @weekly, @monthly or @yearly, or 5 fields (minute hour day month \
         weekday){}", if *repeats { "; every so often is said by interval, not by cron" } else { "" }
    )]
    Name {
        /// The name.
        name: String,
        /// It is `@every`, which is said otherwise here.
        repeats: bool,
    },
    /// A step past the end of its field: `*/90` of minutes would be each full hour.
    #[error("a step of {step} is longer than the field of {field}, which has {values}")]
    LongStep {
        /// The step.
        step: u64,
        /// Which field.
        field: &'static str,
        /// How many values it has.
        values: u64,
    },
    /// Well-formed, and no day fits.
    #[error("never comes: no date fits it")]
    Never,
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron(Box<croner::Cron>);

impl Cron {
    /// Reads an expression of five or six fields, or one of the names with `@`.
    ///
    /// # Errors
    /// [`InvalidCron`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        if text.len() > CRON_BYTES_MAX {
            return Err(InvalidCron::TooLong(text.len()));
        }
        if !text.is_ascii() {
            return Err(InvalidCron::Malformed("a character outside of ASCII".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed);
        let cron = parser.build().parse(&expanded(text));
        let cron = cron.map_err(|error| malformed(text, &error.to_string()))?;
        check_steps(text)?;
        let cron = Self(Box::new(cron));
        // February 30th is found out here and not by a schedule that never fires.
        let probe = cron.after(DateTime::constant(2000, 1, 1, 0, 0, 0, 0));
        probe.map(|_| cron).ok_or(InvalidCron::Never)
    }

    /// The first wall-clock time after `local` that fits.
    #[must_use]
    pub fn after(&self, local: DateTime) -> Option<DateTime> {
        self.0.find_next_occurrence(&local, false).ok()
    }
}

/// What is wrong with a text: of an unknown name not how many fields it lacks.
fn malformed(text: &str, error: &str) -> InvalidCron {
    match text.split_whitespace().next() {
        Some(name) if name.starts_with('@') => {
            let repeats = name.eq_ignore_ascii_case("@every");
            InvalidCron::Name { name: name.to_owned(), repeats }
        }
        Some(_) | None => InvalidCron::Malformed(error.trim_end_matches('.').to_owned()),
    }
}

/// The fields from the right, and how many values each has.
const FIELDS: [(&str, u64); 6] = [
    ("weekdays", 7),
    ("months", 12),
    ("days", 31),
    ("hours", 24),
    ("minutes", 60),
    ("seconds", 60),
];

/// The library takes a step of any length.
fn check_steps(text: &str) -> Result<(), InvalidCron> {
    for (part, (field, values)) in text.split_whitespace().rev().zip(FIELDS) {
        let steps = part.split(',').filter_map(|range| range.split_once('/')?.1.parse().ok());
        if let Some(step) = steps.max().filter(|step| *step > values) {
            return Err(InvalidCron::LongStep { step, field, values });
        }
    }
    Ok(())
}

/// The names that the library does not know.
fn expanded(text: &str) -> String {
    let text = text.trim();
    if text.eq_ignore_ascii_case("@midnight") { "@daily".to_owned() } else { text.to_owned() }
}

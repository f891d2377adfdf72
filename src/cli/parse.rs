//! Values on the command line: ids, labels, lengths of time, moments.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::rate::{NoRate, StartRate};
use crate::domain::validate::Violations;
use crate::domain::{Timestamp, written};

#[cfg(test)]
mod tests;

/// A length of time on the wire holds no more seconds than this.
const SECONDS_MAX: u64 = 315_576_000_000;
/// An amount of memory that a double holds exactly: more than any machine has.
const SIZE_MAX: u64 = 1 << 53;
/// A thousand cores.
const PERCENT_MAX: f64 = 100_000.0;

/// Letters of a whole id.
pub const ID_LETTERS: usize = 36;
/// Hexadecimal digits that say which job is meant: fewer fit too many.
const ID_DIGITS_MIN: usize = 8;

/// A job's id in its usual form, or at least 8 digits of its beginning or end, which `find::job` completes.
///
/// # Errors
///
/// A text that is neither.
pub fn job_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    if let Ok(id) = uuid::Uuid::parse_str(text) {
        return Ok(id.hyphenated().to_string());
    }
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    let hyphens = text.chars().filter(|letter| *letter == '-').count();
    if digits + hyphens == text.chars().count() && (ID_DIGITS_MIN..32).contains(&digits) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("a job's id is a UUID, such as 01890a5d-ac96-774b-bcce-b302099a8057, or at least 8 digits \
         of its beginning or end; see the ids with `jobplane list`"
        .to_owned())
}

/// A label, `key=value`; the value may be empty and may hold further `=`.
///
/// # Errors
///
/// A text without `=`, or without a key.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written key=value".to_owned()),
    }
}

/// A length of time: `90s`, `1h 30m`, `500ms`, `0`.
///
/// # Errors
///
/// A text without a unit, or a span beyond ten thousand years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span = humantime::parse_duration(text)
        .map_err(|error| format!("{error} (write for instance 90s, 5m or 1h 30m)"))?;
    if span.as_secs() > SECONDS_MAX {
        return Err("longer than ten thousand years".to_owned());
    }
    Ok(span)
}

/// A moment by RFC 3339, for instance `2026-01-31T08:00:00Z` or `2026-01-31T09:00:00+01:00`.
///
/// # Errors
///
/// A text that is no such moment.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = OffsetDateTime::parse(text.trim(), &Rfc3339)
        .map_err(|error| format!("{error} (write for instance 2026-01-31T08:00:00Z)"))?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000)
        .map(Timestamp::from_micros)
        .map_err(|_| "out of range".to_owned())
}

/// A moment in the past: said itself, or as the time that passed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// At this moment.
    At(Timestamp),
}

impl Since {
    /// The moment meant.
    #[must_use]
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.minus(span),
            Self::At(moment) => moment,
        }
    }
}

/// A moment in the past: `2h`, or by RFC 3339.
///
/// # Errors
///
/// A text that is neither.
pub fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = moment(text) {
        return Ok(Since::At(moment));
    }
    duration(text).map(Since::Ago).map_err(|_| {
        "must be a length of time such as 2h or 7d, or a moment such as 2026-01-31T08:00:00Z"
            .to_owned()
    })
}

/// A length of time for the wire.
#[must_use]
pub fn wire_duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

/// A moment for the wire.
#[must_use]
pub fn wire_moment(moment: Timestamp) -> prost_types::Timestamp {
    let micros = moment.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// An amount of memory as files write it: `512Mi`, `1.5GiB`, `2G`, `4096`.
///
/// # Errors
///
/// A text that is no such amount, or none of at least one byte.
pub fn size(text: &str) -> Result<u64, String> {
    let bytes = written::size::parse(text).map_err(|error| error.to_string())?;
    if !(1..=SIZE_MAX).contains(&bytes) {
        return Err("must be at least one byte and at most 8 PiB".to_owned());
    }
    Ok(bytes)
}

/// How many start in how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many a second; nothing is said of how many at once.
    PerSecond(f64),
    /// As files write it: so many at once, too, as in its period.
    Word(StartRate),
}

/// A rate as files write it, `100/h`, or how many a second.
///
/// # Errors
///
/// A text that is neither, or a negative rate.
pub fn rate(text: &str) -> Result<Rate, String> {
    if let Ok(per_second) = text.trim().parse::<f64>() {
        let good = per_second.is_finite() && per_second >= 0.0;
        let rate = good.then_some(Rate::PerSecond(per_second));
        return rate.ok_or_else(|| "must not be negative".to_owned());
    }
    let rate: StartRate = text.parse().map_err(|error: NoRate| error.to_string())?;
    let mut wrong = Violations::default();
    rate.validate("", &mut wrong);
    match wrong.as_slice().first() {
        Some(wrong) => Err(format!("{} {}", wrong.field, wrong.description)),
        None => Ok(Rate::Word(rate)),
    }
}

/// A part of the time of processor cores: `80%`, `250%` of one core; the sign may be left out.
///
/// # Errors
///
/// A text that is no number, or no more than 0, or more than a thousand cores.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim();
    let percent: f64 = number
        .parse()
        .map_err(|_| format!("{text} is no percentage (write for instance 80% or 250%)"))?;
    if percent > 0.0 && percent <= PERCENT_MAX {
        Ok(percent)
    } else {
        Err(format!("{text}: must be more than 0% and at most {PERCENT_MAX}%"))
    }
}

//! How values are written where people read them: in definition files and in the columns that hold
//! definitions. Spans as `90s` or `1h 30m` (a bare number is seconds), sizes as `512Mi` (a bare number is
//! bytes), moments as RFC 3339, choices by their short names in any case.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

use super::time::Timestamp;

pub mod size;

/// A text that names none of the choices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {known}, is {given:?}")]
pub struct UnknownName {
    /// What was given.
    pub given: String,
    /// What there is.
    pub known: String,
}

/// The value among `all` whose name is `text` in any case.
///
/// # Errors
/// [`UnknownName`] with all names.
pub fn named<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, UnknownName> {
    let known = || all.iter().map(|value| name(*value)).collect::<Vec<_>>().join(", ");
    let found = all.iter().copied().find(|value| name(*value).eq_ignore_ascii_case(text));
    found.ok_or_else(|| UnknownName { given: text.to_owned(), known: known() })
}

/// Gives an enum its short names: `ALL`, `as_str`, `Display`, `FromStr` and serde by them.
macro_rules! short_names {
    ($type:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The short name, as files, terminals and columns have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::domain::written::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::domain::written::named(Self::ALL, Self::as_str, text)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use short_names;

/// Whether a value is what stands for it where it is left out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span like 30s, 5m or 1h 30m, or a number of seconds")
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Duration, E> {
        u64::try_from(seconds)
            .map(Duration::from_secs)
            .map_err(|_| E::custom(format!("a span must not be negative, is {seconds}")))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
        if let Ok(seconds) = text.parse() {
            return Ok(Duration::from_secs(seconds));
        }
        humantime::parse_duration(text).map_err(|error| E::custom(format!("{text:?}: {error}")))
    }
}

struct Span(Duration);

impl<'de> serde::Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SpanVisitor).map(Self)
    }
}

/// A span as it is written: in whole days from a day on, for months and years are not whole numbers of them.
#[must_use]
pub fn span_text(span: Duration) -> String {
    const DAY: u64 = 86_400;
    let days = match span.as_secs() / DAY {
        0 => return humantime::format_duration(span).to_string(),
        1 => "1day".to_owned(),
        days => format!("{days}days"),
    };
    match Duration::new(span.as_secs() % DAY, span.subsec_nanos()) {
        Duration::ZERO => days,
        rest => format!("{days} {}", humantime::format_duration(rest)),
    }
}

/// Says that a span is out of its range.
#[must_use]
pub fn out_of_range(span: Duration, range: &RangeInclusive<Duration>) -> String {
    let [least, most, is] = [*range.start(), *range.end(), span].map(span_text);
    if range.start().is_zero() {
        format!("must be at most {most}, is {is}")
    } else {
        format!("must be from {least} to {most}, is {is}")
    }
}

/// `#[serde(with)]` for a span.
pub mod span {
    use super::{Deserializer, Duration, Serializer, SpanVisitor, span_text};

    /// As text.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&span_text(*span))
    }

    /// From text, or a number of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(SpanVisitor)
    }
}

/// `#[serde(with)]` for a span that may be unset.
pub mod optional_span {
    use super::{Deserializer, Duration, Serializer, Span, span_text};

    /// As text.
    pub fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => to.serialize_some(&span_text(*span)),
            None => to.serialize_none(),
        }
    }

    /// From text, or a number of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let span: Option<Span> = serde::Deserialize::deserialize(from)?;
        Ok(span.map(|span| span.0))
    }
}

/// `#[serde(with)]` for a list of spans.
pub mod spans {
    use super::{Deserializer, Duration, SeqAccess, Serializer, Span, Visitor, fmt, span_text};

    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of spans")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<Duration>, A::Error> {
            let mut list = Vec::new();
            while let Some(span) = from.next_element::<Span>()? {
                list.push(span.0);
            }
            Ok(list)
        }
    }

    /// As texts.
    pub fn serialize<S: Serializer>(spans: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(spans.iter().map(|span| span_text(*span)))
    }

    /// From texts, or numbers of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
        from.deserialize_seq(List)
    }
}

/// `#[serde(with)]` for a moment that may be unset, as RFC 3339.
pub mod optional_moment {
    use super::{Deserializer, Serializer, Timestamp};

    /// As text; a moment that no calendar has, as none.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match at.and_then(super::moment_text) {
            Some(text) => to.serialize_some(&text),
            None => to.serialize_none(),
        }
    }

    /// From text.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text: Option<std::borrow::Cow<'de, str>> = serde::Deserialize::deserialize(from)?;
        text.map(|text| super::moment(&text)).transpose().map_err(super::de)
    }
}

fn de<E: serde::de::Error>(message: String) -> E {
    E::custom(message)
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        format!("{text:?} must be a moment with its offset, like 2026-03-29T01:00:00Z")
    })?;
    Ok(Timestamp::from_micros(at.as_microsecond()))
}

/// A moment as RFC 3339, if any calendar has it.
#[must_use]
pub fn moment_text(at: Timestamp) -> Option<String> {
    jiff::Timestamp::from_microsecond(at.as_micros()).ok().map(|at| at.to_string())
}

/// A moment as people read it: RFC 3339 where any calendar has it.
#[must_use]
pub fn moment_shown(at: Timestamp) -> String {
    moment_text(at).unwrap_or_else(|| "no time that can be named".to_owned())
}

#[cfg(test)]
mod tests;

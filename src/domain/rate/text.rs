//! A rate in a word: `10/s`, `5/min`, `100/h`, `3/15m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::StartRate;
use crate::domain::written;

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a rate like 10/s, 5/min, 100/h or 20/15m, is {given:?}")]
pub struct NoRate {
    /// What was given.
    pub given: String,
}

/// The periods that have a name, and their names.
const NAMED: [(Duration, &str); 4] = [
    (Duration::from_secs(1), "s"),
    (Duration::from_secs(60), "min"),
    (Duration::from_secs(3_600), "h"),
    (Duration::from_secs(86_400), "day"),
];

impl FromStr for StartRate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let rate = || {
            let (count, period) = text.split_once('/')?;
            let (count, period) = (count.trim().parse().ok()?, period.trim());
            let one = period.starts_with(|first: char| first.is_ascii_alphabetic());
            let period = if one { format!("1{period}") } else { period.to_owned() };
            let period = humantime::parse_duration(&period).ok()?;
            Some(Self { count, period, burst: 0 })
        };
        rate().ok_or_else(|| NoRate { given: text.to_owned() })
    }
}

impl StartRate {
    /// The rate in a word, if it has one: with a burst of its own it has none.
    #[must_use]
    pub fn word(&self) -> Option<String> {
        if self.burst != 0 {
            return None;
        }
        let named = NAMED.iter().find(|(period, _)| *period == self.period);
        Some(match named {
            Some((_, name)) => format!("{}/{name}", self.count),
            None => format!("{}/{}", self.count, humantime::format_duration(self.period)),
        })
    }
}

/// Its fields.
#[derive(Deserialize)]
struct Fields {
    count: u32,
    #[serde(with = "written::span")]
    period: Duration,
    #[serde(default)]
    burst: u32,
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = StartRate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate like 10/s, 5/min or 100/h, or its count and period")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StartRate, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StartRate, A::Error> {
        let Fields { count, period, burst } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        Ok(StartRate { count, period, burst })
    }
}

impl<'de> Deserialize<'de> for StartRate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Either)
    }
}

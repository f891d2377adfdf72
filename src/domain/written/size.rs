//! Sizes in bytes as people write them, with the suffixes of Kubernetes: `M` is 10^6, `Mi` is 2^20. A `B` behind
//! them changes nothing, nor does their case. As `#[serde(with)]`: read as such a text or a number, written as a number.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a number of bytes, or a size like 512Mi, 1.5Gi or 64KiB (M is 10^6, Mi is 2^20), is {given:?}"
)]
pub struct NoSize {
    /// What was given.
    pub given: String,
}

/// What is counted in, the largest first.
const UNITS: [(&str, u64); 11] = [
    ("Pi", 1 << 50),
    ("P", 1_000_000_000_000_000),
    ("Ti", 1 << 40),
    ("T", 1_000_000_000_000),
    ("Gi", 1 << 30),
    ("G", 1_000_000_000),
    ("Mi", 1 << 20),
    ("M", 1_000_000),
    ("Ki", 1 << 10),
    ("K", 1_000),
    ("", 1),
];
/// Digits behind the point that are looked at: with more, the sum would not fit.
const DECIMALS_MAX: usize = 9;

/// Reads a size; parts of a byte are rounded.
///
/// # Errors
/// [`NoSize`] if it is none, or none that fits 64 bits.
pub fn parse(text: &str) -> Result<u64, NoSize> {
    bytes(text.trim()).ok_or_else(|| NoSize { given: text.to_owned() })
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let unit = unit.strip_suffix(['b', 'B']).unwrap_or(unit);
    let (_, unit) = UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > DECIMALS_MAX {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let (whole, part): (u64, u64) = (whole.parse().ok()?, part.parse().ok()?);
    let number = u128::from(whole) * scale + u128::from(part);
    u64::try_from((number * u128::from(unit) + scale / 2) / scale).ok()
}

/// The size in the largest unit that holds it in whole numbers: `512Mi`, `100M`, `1537`.
#[must_use]
pub fn text(bytes: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| bytes >= *unit && bytes.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(("", 1));
    format!("{}{name}", bytes / unit)
}

struct Size;

impl Visitor<'_> for Size {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a number of bytes, or a size like 512Mi, 1.5Gi or 64KiB (M is 10^6, Mi is 2^20)",
        )
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::custom(format!("must not be negative, is {bytes}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse(text).map_err(E::custom)
    }
}

/// As a number.
pub fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(*bytes)
}

/// From text, or a number of bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(Size)
}

#[cfg(test)]
mod tests;

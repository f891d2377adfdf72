//! Figures for people: spans, ages, counts, rates, sizes; and text from afar made safe for a terminal.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::Timestamp;

#[cfg(test)]
mod tests;

/// What stands in a table where there is nothing.
pub const NOTHING: &str = "-";
/// On screens of fewer columns the date of a moment costs more than it tells.
const ROOM_FOR_MOMENTS: usize = 120;

/// A length of time, to two units: `340ms`, `4.2s`, `3m 20s`, `4d 3h`; `0s` below a millisecond.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{large}{large_unit}")
        } else {
            format!("{large}{large_unit} {small}{small_unit}")
        }
    };
    match seconds {
        0 if span.as_millis() == 0 => "0s".to_owned(),
        0 => format!("{}ms", span.as_millis()),
        1..10 => format!("{seconds}.{}s", span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A length of time from the wire; a negative one counts as none.
#[must_use]
pub fn duration(wire: &prost_types::Duration) -> Duration {
    Duration::try_from(*wire).unwrap_or_default()
}

/// A length of time from the wire, or [`NOTHING`].
#[must_use]
pub fn span_or_nothing(wire: Option<&prost_types::Duration>) -> String {
    wire.map_or_else(|| NOTHING.to_owned(), |wire| span(duration(wire)))
}

/// A moment from the wire.
#[must_use]
pub fn timestamp(wire: &prost_types::Timestamp) -> Timestamp {
    let micros = wire.seconds.saturating_mul(1_000_000);
    Timestamp::from_micros(micros.saturating_add(i64::from(wire.nanos / 1_000)))
}

/// How long ago, or in how long: `3m 20s ago`, `in 5.0s`, `now`.
#[must_use]
pub fn age(wire: &prost_types::Timestamp, now: Timestamp) -> String {
    let moment = timestamp(wire);
    let (past, future) = (now.since(moment), moment.since(now));
    if future >= Duration::from_secs(1) {
        format!("in {}", span(future))
    } else if past >= Duration::from_secs(1) {
        format!("{} ago", span(past))
    } else {
        "now".to_owned()
    }
}

/// A moment in UTC by RFC 3339, to `digits` digits of a second (0 to 3).
#[must_use]
pub fn moment(wire: &prost_types::Timestamp, digits: u32) -> String {
    let unit = 10_i128.pow(9 - digits.min(3));
    let nanos = i128::from(wire.seconds) * 1_000_000_000 + i128::from(wire.nanos);
    let nanos = nanos.div_euclid(unit) * unit;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .map_or_else(|| format!("{}s", wire.seconds), |text| pad_fraction(&text, digits.min(3)))
}

/// A moment in UTC for a table: whole, or on a narrow screen without what is the same as now, `14:03:43` of today and
/// `11-22 14:03` of other days of about a year.
#[must_use]
pub fn moment_fit(wire: &prost_types::Timestamp, now: Timestamp, room: Option<usize>) -> String {
    let whole = moment(wire, 0);
    if room.is_none_or(|room| room >= ROOM_FOR_MOMENTS) {
        return whole;
    }
    let now = moment(&super::parse::wire_moment(now), 0);
    let part = |from, to| whole.get(from..to);
    match (part(0, 10), part(5, 10), part(11, 16), part(11, 19)) {
        (Some(day), _, _, Some(time)) if now.starts_with(day) => time.to_owned(),
        (Some(day), Some(date), Some(time), _) if now.get(..4) == day.get(..4) => {
            format!("{date} {time}")
        }
        (Some(day), ..) => day.to_owned(),
        _ => whole,
    }
}

/// Gives a moment exactly `digits` digits of a second, so that lines stand under each other.
fn pad_fraction(text: &str, digits: u32) -> String {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let digits = digits as usize;
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{fraction:0<digits$}Z"),
        None if digits == 0 => format!("{text}Z"),
        None => format!("{text}.{:0<digits$}Z", ""),
    }
}

/// A count with its thousands apart: `1,234,567`.
#[must_use]
pub fn count(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of a whole: `53.5%`; 100% is said only when it is reached.
#[must_use]
pub fn percent(percent: f64) -> String {
    format!("{}%", share(percent))
}

/// The figure of a share, `53.5`: the nearest tenth, but not 100 before it is reached.
#[must_use]
pub fn share(percent: f64) -> String {
    let nearest = (percent * 10.0).round() / 10.0;
    format!("{:.1}", if percent < 100.0 { nearest.min(99.9) } else { nearest })
}

/// A rate per second: `1,234/s`, `12.3/s`, `0.45/s`; slow ones by the minute, the hour or the day. `None` if nothing
/// moves.
#[must_use]
pub fn rate(per_second: f64) -> Option<String> {
    if !per_second.is_finite() || per_second <= 0.0 {
        return None;
    }
    Some(match per_second {
        fast if fast >= 100.0 => format!("{}/s", count(whole(fast))),
        fast if fast >= 10.0 => format!("{fast:.1}/s"),
        slow if slow >= 0.1 => format!("{slow:.2}/s"),
        slower if slower * 60.0 >= 0.1 => format!("{:.2}/min", slower * 60.0),
        crawling if crawling * 3_600.0 >= 0.1 => format!("{:.2}/h", crawling * 3_600.0),
        creeping => format!("{:.2}/day", creeping * 86_400.0),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
fn whole(figure: f64) -> i64 {
    figure.round() as i64
}

/// A size in bytes: `512 B`, `1.5 KiB`, `12.0 GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Text from a worker or server, on one line and without control characters: it cannot move the cursor, colour the
/// terminal or forge further lines.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|letter| match letter {
            '\n' | '\r' | '\t' => Shown::Letter(Some(' ')),
            letter if hides(letter) => Shown::Escape(letter.escape_default()),
            letter => Shown::Letter(Some(letter)),
        })
        .collect()
}

/// How many columns a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// A text that is safe already, in so many columns at most; `…` stands for what was cut off.
#[must_use]
pub fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = room.saturating_sub(1);
    for letter in text.chars() {
        let wide = letter.width().unwrap_or_default();
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(letter);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

/// As [`fit`], of a line that is painted in places: colours take no room, and the last one is ended.
#[must_use]
pub fn fit_painted(line: &str, room: usize) -> String {
    let (mut used, mut edge, mut in_colour) = (0, None, false);
    for (at, letter) in line.char_indices() {
        if letter == '\x1b' || in_colour {
            in_colour = letter != 'm';
            continue;
        }
        used += letter.width().unwrap_or_default();
        if used > room.saturating_sub(1) {
            edge.get_or_insert(at);
        }
    }
    let Some(edge) = edge.filter(|_| used > room) else { return line.to_owned() };
    let (more, end) = (if room > 0 { "…" } else { "" }, "\x1b[0m");
    let end = if line.contains('\x1b') { end } else { "" };
    format!("{}{more}{end}", &line[..edge])
}

/// As [`plain`], but with its lines kept; `indent` goes before each further line.
#[must_use]
pub fn plain_lines(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(plain).collect();
    lines.join(&format!("\n{indent}"))
}

/// Control characters, and those that turn the direction of what follows.
fn hides(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

enum Shown {
    Letter(Option<char>),
    Escape(std::char::EscapeDefault),
}

impl Iterator for Shown {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Self::Letter(letter) => letter.take(),
            Self::Escape(escape) => escape.next(),
        }
    }
}

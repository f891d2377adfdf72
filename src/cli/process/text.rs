//! Output as text for people: escape sequences and control characters go, what is no UTF-8 is replaced; and how much a
//! line matters, as far as its beginning says so. Pure.

use crate::domain::LogLevel;

#[cfg(test)]
mod tests;

/// The text without escape sequences, control characters (but tabs) and blanks at its end.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => escape(&mut chars),
            '\t' => plain.push(char),
            '\x08' => drop(plain.pop()),
            _ if char.is_control() => {}
            _ => plain.push(char),
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// Passes over an escape sequence, whose ESC was read.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // CSI: parameters, then a final byte.
        Some('[') => {
            for char in chars.by_ref() {
                if matches!(char, '\x40'..='\x7e') {
                    return;
                }
            }
        }
        // OSC and other strings: up to BEL or ESC \.
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(char) = chars.next() {
                if char == '\x07' || char == '\x1b' && chars.next_if_eq(&'\\').is_some() {
                    return;
                }
            }
        }
        // A character set: one more.
        Some('(' | ')' | '*' | '+' | '#' | '%') => drop(chars.next()),
        _ => {}
    }
}

/// How much a line matters: `ERROR …`, `[warn] …`, `error: …`, `2026-01-31T08:00:00Z WARN …`. A small word must be
/// followed by a colon, or stand in brackets: prose begins with such words too.
pub(super) fn level(line: &str) -> LogLevel {
    // A moment may come first.
    let words = line.split_whitespace().take(3);
    let mut words = words.skip_while(|word| is_moment(word));
    words.next().and_then(named).unwrap_or_default()
}

fn is_moment(word: &str) -> bool {
    word.contains([':', '-'])
        && word.starts_with(|c: char| c.is_ascii_digit() || c == '[')
        && word.chars().all(|c| c.is_ascii_digit() || "[]:-.,+TZ/".contains(c))
}

fn named(word: &str) -> Option<LogLevel> {
    let name = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
    let end = word.find(name)? + name.len();
    let marked = word[end..].starts_with([':', ']', '>']);
    let loud = name.chars().all(|c| c.is_ascii_uppercase());
    if !loud && !marked {
        return None;
    }
    match name.to_ascii_lowercase().as_str() {
        "error" | "err" | "fatal" | "critical" | "crit" | "panic" => Some(LogLevel::Error),
        "warning" | "warn" => Some(LogLevel::Warning),
        "debug" | "trace" => Some(LogLevel::Debug),
        _ => None,
    }
}

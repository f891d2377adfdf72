//! A line in tokens: figures, bars, what stands beside figures, words.

use super::bar::{self, Bar};
use crate::domain::limits::PROGRESS_COUNT_MAX;

/// A part of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// `45%`.
    Percent(f64),
    /// `450/1000`, `450 of 1000`, `1,500/3,000`: done, in all.
    Ratio(i64, i64),
    /// `12.5/100`: with fractions, so that it counts no items.
    Share(f64, f64),
    /// A number alone.
    Number(&'a str),
    /// A bar.
    Bar(Bar),
    /// `[` or `(`.
    Open(char),
    /// `]` or `)`.
    Close(char),
    /// A time of day or a span of `00:12`.
    Time,
    /// What stands beside figures: sizes, rates, dates, dashes.
    Beside,
    /// `/` alone.
    Slash,
    /// The unit of a size, `MiB`.
    Size(&'a str),
    /// A word.
    Word(&'a str),
}

/// The tokens of a line.
pub(super) fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        if let Some(length) = bar::delimited(rest) {
            tokens.push(Token::Bar(Bar::Sure));
            rest = rest[length..].trim_start();
            continue;
        }
        match first {
            '[' | '(' => tokens.push(Token::Open(first)),
            ']' | ')' => tokens.push(Token::Close(first)),
            '|' => tokens.push(Token::Beside),
            _ => {
                let is_end = |c: char| c.is_whitespace() || "[]()|".contains(c);
                let length = rest.find(is_end).unwrap_or(rest.len());
                word(&rest[..length], &mut tokens);
                rest = rest[length..].trim_start();
                continue;
            }
        }
        rest = rest[1..].trim_start();
    }
    joined(tokens)
}

/// The tokens of a word without blanks.
fn word<'a>(word: &'a str, tokens: &mut Vec<Token<'a>>) {
    let core = word.trim_end_matches([',', ';', ':']).trim_end_matches("...").trim_end_matches('…');
    if core.is_empty() {
        tokens.push(Token::Beside);
    } else {
        tokens.push(classified(core));
    }
}

fn classified(word: &str) -> Token<'_> {
    if word == "/" {
        return Token::Slash;
    }
    if let Some(percent) = word.strip_suffix('%').and_then(decimal) {
        return if percent <= 100.0 { Token::Percent(percent) } else { Token::Word(word) };
    }
    if word.chars().all(|c| c.is_ascii_digit() || ",_.".contains(c)) && decimal(word).is_some()
        || count(word).is_some()
    {
        return Token::Number(word);
    }
    if let Some((done, all)) = word.split_once('/') {
        if let (Some(done), Some(all)) = (count(done), count(all)) {
            return if done <= all && all > 0 {
                Token::Ratio(done, all)
            } else {
                Token::Word(word)
            };
        }
        if let (Some(done), Some(all)) = (decimal(done), decimal(all)) {
            return if done <= all && all > 0.0 {
                Token::Share(done, all)
            } else {
                Token::Word(word)
            };
        }
    }
    if let Some(bar) = bar::word(word) {
        return Token::Bar(bar);
    }
    if is_size_unit(word) {
        return Token::Size(word);
    }
    if is_time(word) {
        return Token::Time;
    }
    if is_beside(word) {
        return Token::Beside;
    }
    Token::Word(word)
}

/// Joins figures that are written apart: `45 %`, `450 / 1000`, `450 of 1000`.
fn joined(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let mut joined: Vec<Token<'_>> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let new = match (&token, joined.as_slice()) {
            (Token::Word("%"), [.., Token::Number(number)]) => {
                decimal(number).filter(|n| *n <= 100.0).map(|n| (1, Token::Percent(n)))
            }
            (Token::Number(all), [.., Token::Number(done), Token::Slash | Token::Word("of")]) => {
                match (count(done), count(all)) {
                    (Some(done), Some(all)) if done <= all && all > 0 => {
                        Some((2, Token::Ratio(done, all)))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        match new {
            Some((taken, new)) => {
                joined.truncate(joined.len() - taken);
                joined.push(new);
            }
            None => joined.push(token),
        }
    }
    joined
}

/// A whole number, perhaps with its thousands set apart.
pub(super) fn count(text: &str) -> Option<i64> {
    let mut groups = text.split([',', '_']);
    let first = groups.next()?;
    let is_digits = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(first) || text.contains([',', '_']) && first.len() > 3 {
        return None;
    }
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || !is_digits(group) {
            return None;
        }
        digits.push_str(group);
    }
    digits.parse().ok().filter(|count| *count <= PROGRESS_COUNT_MAX)
}

/// A number that is not negative: digits, perhaps with a fraction.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| {
        !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit())
    };
    (is_digits(whole) && is_digits(fraction)).then(|| text.parse().ok()).flatten()
}

fn is_size_unit(word: &str) -> bool {
    let prefix = word.trim_end_matches("iB").trim_end_matches('B').trim_end_matches('i');
    word.ends_with('B') && (prefix.is_empty() || prefix.len() == 1 && "kKMGTP".contains(prefix))
        || word == "bytes"
}

/// `00:12`, `1:02:03`, `00:10<00:12`, `-:--:--`.
fn is_time(word: &str) -> bool {
    word.contains(':') && word.chars().all(|c| c.is_ascii_digit() || ":<?-.".contains(c))
}

/// A figure with its unit, `31.25MB/s`, `8s`, `1m30s`, `?it/s`; a date; counters of rsync; signs.
fn is_beside(word: &str) -> bool {
    let rest = word.trim_start_matches(['~', '<', '+']);
    let figures = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ".,?".contains(c));
    let has_figure = figures.len() < rest.len();
    let unit = figures.strip_suffix("/s").or_else(|| figures.strip_suffix("ps")).unwrap_or(figures);
    let known = |unit: &str| matches!(unit, "K" | "M" | "G" | "T" | "k" | "x" | "it" | "files");
    let is_span = figures.chars().all(|c| c.is_ascii_digit() || "dhmsμ".contains(c));
    let is_rate = unit.len() < figures.len()
        && unit.chars().count() <= 8
        && unit.chars().all(char::is_alphabetic);
    let is_date =
        rest.contains('-') && rest.chars().all(|c| c.is_ascii_digit() || "-T:.Z+".contains(c));
    has_figure && (is_size_unit(unit) || known(unit) || is_span || is_rate || figures == "s/it")
        || is_rate && is_size_unit(unit)
        || is_date
        || ["xfr#", "to-chk=", "ir-chk=", "to-check="].iter().any(|with| word.starts_with(with))
        || matches!(word, "-" | "@" | "·" | "•" | "–" | "," | ":")
}

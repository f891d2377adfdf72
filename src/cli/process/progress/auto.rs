//! What progress bars and counters usually look like.
//!
//! A line is progress if it has one figure (`45%`, `450/1000`) and
//! 1. beside a bar: anything else;
//! 2. nothing but what stands beside figures: sizes, rates, times, words such as `done`;
//! 3. before it a label that says so: `Progress:`, `Processed`, a word in -ing; or both kinds of figure that agree.
//!
//! It is progress that is logged too if the figure stands in brackets at the beginning (`[450/1000] Building foo.o`),
//! as percent in square brackets at the end (`test_a.py .... [ 45%]`), or counts steps (`Step 3/10 : RUN make`).
//! All else is not: `disk 45% full`, `2024/11/22`, `a/1/2`, two figures that differ.

use super::bar::Bar;
use super::token::{Token, tokens};
use super::{Reading, Said};

/// A longer line is no bar of a terminal.
const LINE_BYTES_MAX: usize = 512;
/// More words than this are a sentence.
const LABEL_WORDS_MAX: usize = 8;
/// How far a percentage may be from the ratio beside it: tools round as they like.
const PERCENT_APART_MAX: f64 = 1.5;

/// Words that stand beside the figure of a progress.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "progress", "done", "complete", "completed", "processed", "finished", "transferred", "copied",
    "downloaded", "uploaded", "imported", "exported", "download", "upload", "eta", "remaining",
    "left", "elapsed", "at", "in", "of", "speed", "rate", "so", "far", "already",
];
/// What is counted.
#[rustfmt::skip]
const UNITS: &[&str] = &[
    "items", "files", "rows", "records", "documents", "docs", "images", "pages", "users", "objects",
    "tests", "chunks", "blocks", "lines", "tasks", "jobs", "batches", "samples", "messages",
    "entries", "events", "packages", "modules", "frames", "requests", "urls", "ticks", "symbols",
    "tables", "deltas", "parts", "bytes", "it",
];
/// What is counted from one on, and is under way while it is named.
const STEPS: &[&str] = &["step", "stage", "phase", "epoch", "pass", "round"];
/// Words in -ing that no work begins with.
#[rustfmt::skip]
const NOT_DOING: &[&str] = &[
    "warning", "nothing", "something", "anything", "everything", "string", "thing", "during",
    "missing", "failing", "pending", "passing", "using", "king", "ring",
];

/// Where the figure stands and what is around it.
struct Line<'a> {
    tokens: Vec<Token<'a>>,
    /// The place of the first figure.
    at: usize,
    ratio: Option<(i64, i64)>,
    percent: Option<f64>,
}

/// What a line says.
pub(super) fn read(line: &str) -> Said {
    let line = line.trim();
    let may_be = line.contains('%') || line.contains('/') || line.contains(" of ");
    if line.len() > LINE_BYTES_MAX || !may_be {
        return Said::Nothing;
    }
    let Some(line) = Line::of(tokens(line)) else { return Said::Nothing };
    line.step().or_else(|| line.whole()).or_else(|| line.bracketed()).unwrap_or(Said::Nothing)
}

impl<'a> Line<'a> {
    /// None without a figure, or with two that differ.
    fn of(tokens: Vec<Token<'a>>) -> Option<Self> {
        let mut line = Line { tokens: Vec::new(), at: usize::MAX, ratio: None, percent: None };
        for (at, token) in tokens.iter().enumerate() {
            let is_new = match *token {
                Token::Percent(percent) => line.percent.replace(percent).is_none(),
                Token::Ratio(done, all) => line.ratio.replace((done, all)).is_none(),
                Token::Share(done, all) => {
                    // Of a size, and of nothing else that might be meant.
                    let of_size = matches!(tokens.get(at + 1), Some(Token::Size(_)));
                    !of_size || line.percent.replace(done / all * 100.0).is_none()
                }
                _ => continue,
            };
            if !is_new {
                return None;
            }
            line.at = line.at.min(at);
        }
        if let (Some((done, all)), Some(percent)) = (line.ratio, line.percent) {
            #[expect(clippy::cast_precision_loss, reason = "counts are within 2^53")]
            let of_ratio = done as f64 / all as f64 * 100.0;
            if (of_ratio - percent).abs() > PERCENT_APART_MAX {
                return None;
            }
        }
        line.tokens = tokens;
        (line.ratio.is_some() || line.percent.is_some()).then_some(line)
    }

    /// `Step 3/10 : RUN make`.
    fn step(&self) -> Option<Said> {
        let [Token::Word(first), Token::Ratio(number, count), ..] = self.tokens.as_slice() else {
            return None;
        };
        if !is_among(first, STEPS) || self.percent.is_some() {
            return None;
        }
        let reading = Reading {
            step_number: i32::try_from(*number).ok()?,
            step_count: i32::try_from(*count).ok()?,
            step: words(&self.tokens[2..]).join(" "),
            ..Reading::default()
        };
        Some(Said::Both(reading.fitted()))
    }

    /// The whole line is progress.
    fn whole(&self) -> Option<Said> {
        let (before, after) = (&self.tokens[..self.at], &self.tokens[self.at..]);
        let (label, tail) = (words(before), words(after));
        let has_bar = self.tokens.contains(&Token::Bar(Bar::Sure));
        if has_bar && label.len() <= LABEL_WORDS_MAX {
            return Some(self.said(&label, &tail));
        }
        // `Share` without a size, or behind a bar only.
        let is_beside = |word: &&&str| !is_among(word, WORDS) && !is_among(word, UNITS);
        if tail.iter().filter(is_beside).any(|word| !word.eq_ignore_ascii_case("total")) {
            return None;
        }
        let is_told = label.first().is_some_and(|word| is_doing(word))
            || label.iter().any(|word| is_among(word, WORDS))
            || self.ratio.is_some() && self.percent.is_some();
        let labelled = !label.is_empty() && label.len() <= LABEL_WORDS_MAX && is_told;
        let alone = label.is_empty() && !self.is_date();
        (labelled || alone).then(|| self.said(&label, &[]))
    }

    /// The figure in brackets, with other words after or before it.
    fn bracketed(&self) -> Option<Said> {
        match self.tokens.as_slice() {
            [Token::Open(_), Token::Percent(_) | Token::Ratio(..), Token::Close(_), rest @ ..] => {
                let Said::Progress(reading) = self.said(&[], &words(rest)) else { return None };
                Some(Said::Both(reading))
            }
            [_, .., Token::Open('['), Token::Percent(_), Token::Close(']')] => {
                let Said::Progress(reading) = self.said(&[], &[]) else { return None };
                Some(Said::Both(reading))
            }
            _ => None,
        }
    }

    fn said(&self, label: &[&str], tail: &[&str]) -> Said {
        let tell = |words: &[&str]| {
            let told: Vec<_> =
                words.iter().filter(|word| !is_among(word, WORDS)).copied().collect();
            if told.is_empty() { String::new() } else { words.join(" ") }
        };
        let mut reading = Reading {
            step: tell(label),
            message: tell(tail),
            unit: self.unit(),
            ..Reading::default()
        };
        match self.ratio {
            Some((done, all)) => {
                (reading.completed, reading.total) = (Some(done), Some(all));
            }
            None => reading.percent = self.percent,
        }
        Said::Progress(reading.fitted())
    }

    /// What the ratio counts.
    fn unit(&self) -> String {
        let ratio = self.tokens.iter().position(|token| matches!(token, Token::Ratio(..)));
        match ratio.and_then(|at| self.tokens.get(at + 1)) {
            Some(Token::Word(word)) if is_among(word, UNITS) => (*word).to_owned(),
            Some(Token::Size(unit)) => (*unit).to_owned(),
            _ => String::new(),
        }
    }

    /// `11/22 10:30`: a day and a time of it.
    fn is_date(&self) -> bool {
        matches!(self.tokens.as_slice(), [Token::Ratio(..=12, ..=31), Token::Time, ..])
            && self.percent.is_none()
    }
}

/// The words among tokens.
fn words<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(*word),
        _ => None,
    });
    words.collect()
}

fn is_among(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// `Downloading`, `Receiving`.
fn is_doing(word: &str) -> bool {
    word.len() > 5 && word.to_ascii_lowercase().ends_with("ing") && !is_among(word, NOT_DOING)
}

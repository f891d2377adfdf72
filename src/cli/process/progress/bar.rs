//! The bars of progress bars.

/// What bars are drawn with, beside block characters.
const DRAWN_WITH: &str = "=-#>.*+~_<o ";
/// As long as no rule in a table or a title.
const LONG: usize = 10;

/// How much a text looks like a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// Between brackets or strokes, long, or of blocks: nothing else looks so.
    Sure,
    /// A few dashes or dots.
    Perhaps,
}

/// A bar between brackets or strokes at the beginning of `text`; answers how long it is with them.
pub(super) fn delimited(text: &str) -> Option<usize> {
    let close = match text.chars().next()? {
        '[' => ']',
        '|' => '|',
        '(' => ')',
        _ => return None,
    };
    let inside = &text[1..];
    let end = inside.find(close)?;
    let bar = &inside[..end];
    // Some bars end with a digit for what is less than a character.
    let digits = bar.chars().filter(char::is_ascii_digit).count();
    let drawn = bar.chars().all(|c| is_drawn(c) || c.is_ascii_digit());
    (bar.chars().count() >= 3 && drawn && digits <= 1).then_some(end + 2)
}

/// A word that is a bar.
pub(super) fn word(word: &str) -> Option<Bar> {
    let length = word.chars().count();
    if word.chars().any(is_block) && word.chars().all(is_drawn) {
        return Some(Bar::Sure);
    }
    let plain = word.chars().all(|c| is_drawn(c) && c.is_ascii_punctuation());
    match length {
        _ if !plain => None,
        LONG.. => Some(Bar::Sure),
        _ => Some(Bar::Perhaps),
    }
}

fn is_drawn(c: char) -> bool {
    DRAWN_WITH.contains(c) || is_block(c)
}

/// Blocks, lines, dots of braille.
fn is_block(c: char) -> bool {
    matches!(c, '\u{2500}'..='\u{25ff}' | '\u{2800}'..='\u{28ff}')
}

//! What is wrong with a value of a file, in the words of those who write it.

use std::borrow::Cow;

use serde_saphyr::{Error, Localizer, Location, MessageFormatter, UserMessageFormatter};

/// What is wrong, and where in the file.
pub fn said(error: &Error) -> String {
    error.without_snippet().render_with_formatter(&Words)
}

struct Words;

impl MessageFormatter for Words {
    fn localizer(&self) -> &dyn Localizer {
        self
    }

    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        let kind = match error {
            Error::InvalidBooleanStrict { .. } => Some("boolean"),
            Error::InvalidScalar { ty, .. } => Some(*ty),
            Error::Unexpected { expected, .. } => Some(*expected),
            _ => None,
        };
        match kind.and_then(asked) {
            Some(asked) => Cow::Owned(format!("must be {asked}")),
            None => UserMessageFormatter.format_message(error),
        }
    }
}

impl Localizer for Words {
    fn attach_location<'a>(&self, said: Cow<'a, str>, at: Location) -> Cow<'a, str> {
        if at == Location::UNKNOWN {
            return said;
        }
        Cow::Owned(format!("{said} (line {}, column {})", at.line(), at.column()))
    }
}

/// What belongs where the reader of YAML asks for a value of this kind.
fn asked(kind: &str) -> Option<String> {
    let whole = |most: u64| Some(format!("a whole number from 0 to {most}"));
    match kind {
        "boolean" => Some("true or false".to_owned()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" => whole(u64::MAX),
        "floating point" => Some("a number".to_owned()),
        "sequence start" => Some("a list".to_owned()),
        "mapping start" => Some("a mapping, NAME: VALUE".to_owned()),
        "string scalar" => Some("a text".to_owned()),
        _ => None,
    }
}

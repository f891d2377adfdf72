//! Text for people.

use super::*;

#[test]
fn escape_sequences_and_control_characters_go() {
    for (bytes, text) in [
        (&b"\x1b[1;31mred\x1b[0m"[..], "red"),
        (b"\x1b]0;title\x07after", "after"),
        (b"\x1b]8;;http://x\x1b\\link", "link"),
        (b"\x1b(Bplain", "plain"),
        (b"tab\tstays  ", "tab\tstays"),
        (b"a\x00\x07b", "ab"),
        (b"abc\x08\x08d", "ad"),
        (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        (b"\x1b[", ""),
    ] {
        assert_eq!(plain(bytes), text, "{bytes:?}");
    }
}

#[test]
fn the_beginning_of_a_line_says_how_much_it_matters() {
    for (line, wanted) in [
        ("ERROR no such table", LogLevel::Error),
        ("error: no such table", LogLevel::Error),
        ("[warn] hot", LogLevel::Warning),
        ("2026-01-31T08:00:00Z WARN hot", LogLevel::Warning),
        ("2026-01-31 08:00:00,123 DEBUG x", LogLevel::Debug),
        ("FATAL: gone", LogLevel::Error),
        ("errors are rare", LogLevel::Info),
        ("error handling is tested", LogLevel::Info),
        ("all is well", LogLevel::Info),
        ("", LogLevel::Info),
    ] {
        assert_eq!(level(line), wanted, "{line}");
    }
}

//! Documents that say what the code says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use jobplane::cli::serve;
use jobplane::domain::limits;
use jobplane::domain::machine::table;

use crate::tree::{none_wrong, root, rust};

/// Set to 1, it has the tests write what they otherwise only compare.
const BLESS: &str = "JOBPLANE_BLESS";

/// Holds the part of a document between `<!-- begin NAME -->` and `<!-- end NAME -->` against what
/// the code renders.
fn is_up_to_date(path: &str, name: &str, rendered: &str) {
    let file = root().join(path);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (Some(from), Some(to)) = (text.find(&begin), text.find(&end)) else {
        panic!("{path} has no {begin}{end}");
    };
    let from = from + begin.len();
    let wanted = format!("\n{}\n\n", rendered.trim());
    if text[from..to] == wanted {
        return;
    }
    if std::env::var_os(BLESS).is_some_and(|value| value == "1") {
        let blessed = format!("{}{wanted}{}", &text[..from], &text[to..]);
        fs::write(&file, blessed).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    panic!("{path} is out of date; refresh it with `{BLESS}=1 cargo test --test tidy`");
}

#[test]
fn the_state_machine_document_shows_the_table() {
    is_up_to_date("docs/STATE_MACHINE.md", "table", &table::render());
}

#[test]
fn the_settings_document_shows_the_flags() {
    is_up_to_date("docs/SETTINGS.md", "settings", &serve::render_settings());
}

#[test]
fn the_settings_document_shows_the_bounds_of_the_transport() {
    let seconds = |span: Duration| format!("{} s", span.as_secs());
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let messages = format!(
        "{} on `ReportProgress`, {} on other calls",
        kib(limits::REPORT_MESSAGE_BYTES_MAX),
        kib(limits::MESSAGE_BYTES_MAX)
    );
    let rows = [
        (
            "first words of a connection: HTTP/2's preface, or the head of an HTTP/1 request",
            seconds(limits::HEAD_WITHIN),
        ),
        ("the head of an HTTP/1 request", kib(limits::HTTP1_HEAD_BYTES_MAX)),
        (
            "a peer that takes nothing of what is written to it",
            seconds(limits::WRITE_STALLED_AFTER),
        ),
        ("headers of a call", kib(limits::HEADER_LIST_BYTES_MAX as usize)),
        ("a message", messages),
        ("the time of a request to arrive, unless it is a stream", seconds(limits::REQUEST_WITHIN)),
        ("unfinished messages and unread answers, of all peers", kib(limits::TRANSIT_BYTES_MAX)),
        (
            "what a caller may send on a stream before it is read",
            kib(limits::STREAM_WINDOW_BYTES as usize),
        ),
        (
            "what a caller may send on a connection before it is read",
            kib(limits::CONNECTION_WINDOW_BYTES as usize),
        ),
        (
            "streams that a peer reset before they were looked at",
            limits::PENDING_RESETS_MAX.to_string(),
        ),
        ("silence on a watch before it says that it lives", seconds(limits::WATCH_HEARTBEAT)),
        (
            "time that a worker has to leave a stream that has reached its age",
            seconds(limits::STREAM_AGE_GRACE),
        ),
    ];
    let mut table = String::from("| what | bound |\n|---|---|\n");
    for (what, bound) in rows {
        let _ = writeln!(table, "| {what} | {bound} |");
    }
    is_up_to_date("docs/SETTINGS.md", "bounds", &table);
}

#[test]
fn the_diagram_draws_every_way_of_the_table_and_no_other() {
    let text = fs::read_to_string(root().join("docs/STATE_MACHINE.md")).unwrap_or_default();
    let drawn: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.trim().split_once(" --> "))
        .map(|(from, to)| (from, to.split(':').next().unwrap_or(to).trim()))
        .filter(|(from, to)| *from != "[*]" && *to != "[*]" && from != to)
        .collect();
    let ways = table::RULES.iter().flat_map(|rule| rule.to.iter().map(move |to| (rule, *to)));
    // Ways from a state to itself need not be in the picture.
    let wanted: BTreeSet<_> = ways
        .filter(|(rule, to)| rule.from != *to)
        .map(|(rule, to)| (rule.from.as_str(), to.as_str()))
        .collect();
    assert_eq!(drawn, wanted);
}

/// The names in backticks of the `Kept by:` paragraphs of a document.
fn named_tests(text: &str) -> Vec<&str> {
    let paragraphs = text.split("\n\n").filter_map(|part| part.trim().strip_prefix("Kept by:"));
    paragraphs
        .flat_map(|part| part.split('`').skip(1).step_by(2))
        .filter(|name| !name.contains('/'))
        .collect()
}

#[test]
fn each_test_that_keeps_a_promise_exists() {
    let text = fs::read_to_string(root().join("docs/GUARANTEES.md")).unwrap_or_default();
    let code: String =
        ["src", "tests"].into_iter().flat_map(rust).map(|source| source.text).collect();
    let names = named_tests(&text);
    assert!(!names.is_empty(), "docs/GUARANTEES.md names no tests");
    let missing: Vec<_> = names
        .into_iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .map(str::to_owned)
        .collect();
    none_wrong(&missing, "docs/GUARANTEES.md names tests that do not exist");
}

#[test]
fn every_promise_is_numbered_and_says_what_keeps_it() {
    let text = fs::read_to_string(root().join("docs/GUARANTEES.md")).unwrap_or_default();
    let promises = (1..=13).map(|n| format!("J{n}")).chain((1..=7).map(|n| format!("W{n}")));
    let mut wrong = Vec::new();
    for promise in promises {
        let heading = format!("\n### {promise} ");
        match text.split_once(&heading) {
            None => wrong.push(format!("{promise}: not there")),
            Some((_, rest)) => {
                let section = rest.split("\n#").next().unwrap_or(rest);
                if !section.contains("\nKept by:") {
                    wrong.push(format!("{promise}: kept by nothing"));
                }
            }
        }
    }
    none_wrong(&wrong, "docs/GUARANTEES.md");
}

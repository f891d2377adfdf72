use clap::Parser as _;

use super::*;
use crate::cli::output::tests::captured;
use crate::cli::{Ask, Cli, Command};

fn printer(line: &[&str]) -> Printer {
    let job = "01890a5d-ac96-774b-bcce-b302099a8057";
    let cli = Cli::try_parse_from([&["jobplane", "logs", job], line].concat()).unwrap();
    let Command::Ask(Ask::Logs(args)) = cli.command else { panic!("logs") };
    Printer::new(&args)
}

fn entry(sequence: i64, lease_epoch: i64, message: &str) -> LogEntry {
    LogEntry { sequence, lease_epoch, message: message.to_owned(), ..LogEntry::default() }
}

fn gap(after_sequence: i64, dropped: i64) -> LogGap {
    LogGap { lease_epoch: 1, after_sequence, dropped }
}

#[test]
fn a_gap_stands_where_its_lines_were() {
    let (mut out, written) = captured(Format::Table);
    let entries = [entry(1, 1, "head"), entry(9, 1, "tail")];
    printer(&[]).print(&entries, &[gap(1, 1_234)], &mut out).unwrap();
    let text = written.text();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].ends_with("head"), "{text}");
    assert_eq!(lines[1], "… 1,234 lines let go …");
    assert!(lines[2].ends_with("tail"), "{text}");
}

#[test]
fn a_gap_is_told_once_and_then_only_what_was_added() {
    let (mut out, written) = captured(Format::Table);
    let mut printer = printer(&[]);
    printer.print(&[], &[gap(1, 10)], &mut out).unwrap();
    printer.print(&[], &[gap(1, 10)], &mut out).unwrap();
    printer.print(&[], &[gap(1, 11)], &mut out).unwrap();
    assert_eq!(written.text(), "… 10 lines let go …\n… 1 line let go …\n");
}

#[test]
fn another_attempt_is_announced() {
    let (mut out, written) = captured(Format::Table);
    let mut second = entry(2, 5, "b");
    second.attempt = 2;
    printer(&[]).print(&[entry(1, 1, "a"), second], &[], &mut out).unwrap();
    assert_eq!(written.text().lines().nth(1), Some("--- attempt 2 (lease epoch 5)"));
}

#[test]
fn lines_of_less_weight_are_left_out() {
    let (mut out, written) = captured(Format::Table);
    let mut error = entry(2, 1, "bad");
    error.level = LogLevel::Error.into();
    printer(&["--level", "warning"]).print(&[entry(1, 1, "a"), error], &[], &mut out).unwrap();
    assert_eq!(written.text(), "  ERROR    bad\n");
}

#[test]
fn further_lines_of_a_message_cannot_pass_for_entries() {
    let mut entry = entry(1, 1, "one\n2026-01-31 two");
    entry.step = "load".to_owned();
    entry.data = Some(json::to_struct(r#"{"n": 1}"#).unwrap());
    assert_eq!(line(&entry, false), "  INFO     [load] one\n    2026-01-31 two  {\"n\":1}");
}

//! The rules of the machine as data: rendered into docs/STATE_MACHINE.md and held against
//! [`super::apply`] by the matrix test.

use std::fmt::Write as _;

use crate::domain::status::StateKind;

use super::command::CommandKind;

/// One legal pair of state and command.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Where the job is.
    pub from: StateKind,
    /// What is asked.
    pub command: CommandKind,
    /// Where it may be afterwards.
    pub to: &'static [StateKind],
    /// Under which condition.
    pub rule: &'static str,
}

use CommandKind as C;
use StateKind::{Cancelled, Failed, Pending, Running, Skipped, Succeeded};

const fn rule(
    from: StateKind,
    command: CommandKind,
    to: &'static [StateKind],
    rule: &'static str,
) -> Rule {
    Rule { from, command, to, rule }
}

/// Every legal pair; whatever is not here is refused.
pub const RULES: &[Rule] = &[
    rule(
        Pending,
        C::Start,
        &[Running],
        "due and not expired; attempt +1, epoch +1, progress cleared",
    ),
    rule(Pending, C::Cancel, &[Cancelled], "at once"),
    rule(
        Pending,
        C::MeetDeadline,
        &[Pending, Failed],
        "`expire_time` passed before a first start: FAILED with EXPIRED",
    ),
    rule(
        Pending,
        C::Expire,
        &[Pending, Failed],
        "a sweep that includes waiting jobs: FAILED with EXPIRED; nothing if it changed since it was found",
    ),
    rule(Pending, C::Skip, &[Skipped], "a policy refuses it when it comes up"),
    rule(Pending, C::Retry, &[Pending], "now instead of later"),
    rule(Running, C::Adopt, &[Running], "the same epoch under a new session"),
    rule(Running, C::Succeed, &[Succeeded], "whatever was requested: the work is done"),
    rule(
        Running,
        C::Fail,
        &[Pending, Failed, Cancelled],
        "PENDING with back-off while attempts are left and the error may be retried; CANCELLED if a \
         caller or an overlap asked it to stop; with another cause, a failure of that code",
    ),
    rule(Running, C::ReportUse, &[Running], "what it really used of outside quotas so far"),
    rule(
        Running,
        C::ConfirmCancelled,
        &[Cancelled, Pending, Failed],
        "CANCELLED if a caller or an overlap asked it to stop; with another cause, a failure of that \
         code; unasked, FAILED with CANCELLED_BY_WORKER",
    ),
    rule(
        Running,
        C::Release,
        &[Pending, Failed, Cancelled, Running],
        "no attempt used, at most 100 in a row; if asked to stop, as confirm cancelled; nothing if it \
         is leased to another session by now",
    ),
    rule(
        Running,
        C::LoseLease,
        &[Pending, Failed, Cancelled, Running],
        "as fail with LEASE_LOST, the first time without back-off; CANCELLED if a caller or an \
         overlap asked it to stop (the error is kept); nothing if it is leased to another session by now",
    ),
    rule(
        Running,
        C::Cancel,
        &[Running, Cancelled],
        "asked to stop; a second cancel may only shorten the grace; CALLER replaces any other cause; \
         grace 0 ends it at once",
    ),
    rule(
        Running,
        C::RequestStop,
        &[Running],
        "asked to stop, unless it was already; OVERLAP replaces a cause that would only fail the attempt, \
         within the grace that is left",
    ),
    rule(
        Running,
        C::StopStuck,
        &[Running],
        "asked to stop with cause STUCK; nothing if it was asked before, or changed or showed activity \
         since it was found",
    ),
    rule(
        Running,
        C::NoteStuck,
        &[Running],
        "noted and told of, once in an attempt; nothing if it was asked to stop, or changed or showed \
         activity since it was found",
    ),
    rule(
        Running,
        C::NoteSlow,
        &[Running],
        "noted and told of, once in an attempt; nothing if it was asked to stop",
    ),
    rule(
        Running,
        C::MeetDeadline,
        &[Running, Pending, Failed, Cancelled],
        "timeout: asked to stop; no activity for `stuck_after`: asked to stop with cause STUCK, or noted, as \
         its `on_stuck` has it; grace over: CANCELLED for a caller or an overlap, else a failure of \
         the cause's code",
    ),
    rule(Succeeded, C::Retry, &[Pending], "only with `force`"),
    rule(Succeeded, C::MeetDeadline, &[Succeeded], "nothing left to do"),
    rule(Failed, C::Retry, &[Pending], "max_attempts raised to attempt + 1 if needed"),
    rule(Failed, C::MeetDeadline, &[Failed], "nothing left to do"),
    rule(Cancelled, C::Cancel, &[Cancelled], "changes nothing"),
    rule(Cancelled, C::Retry, &[Pending], "max_attempts raised to attempt + 1 if needed"),
    rule(Cancelled, C::MeetDeadline, &[Cancelled], "nothing left to do"),
    rule(Skipped, C::Retry, &[Pending], "max_attempts raised to attempt + 1 if needed"),
    rule(Skipped, C::MeetDeadline, &[Skipped], "nothing left to do"),
];

/// The commands that a job in `state` may take, for messages.
pub fn allowed(state: StateKind) -> impl Iterator<Item = CommandKind> {
    RULES.iter().filter(move |rule| rule.from == state).map(|rule| rule.command)
}

/// The table as docs/STATE_MACHINE.md shows it.
#[must_use]
pub fn render() -> String {
    let mut page = String::from("| from | command | to | rule |\n|---|---|---|---|\n");
    page.push_str("| – | create | PENDING, SKIPPED | SKIPPED if a policy refuses it |\n");
    for rule in RULES {
        let to: Vec<_> = rule.to.iter().map(|state| state.as_str()).collect();
        let (from, command, to) = (rule.from.as_str(), rule.command.as_str(), to.join(", "));
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {from} | {command} | {to} | {} |", rule.rule);
    }
    page
}

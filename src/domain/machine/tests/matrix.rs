//! Every state against every command: the table and `apply` say the same.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fixture::*;
use crate::domain::job::OnStuck;
use crate::domain::machine::table::{RULES, Rule, allowed};
use crate::domain::machine::{Applied, Command, CommandKind, Refusal};
use crate::domain::status::{CancelCause, StateKind};

/// Jobs that stand in `state` in every way that makes a difference.
fn standing(state: StateKind) -> Vec<Bench> {
    let mut benches = vec![Bench::standing(state)];
    match state {
        StateKind::Pending => {
            let mut late = spec();
            late.schedule_time = Some(START.plus(secs(60)));
            benches.push(Bench::new(late));
            let mut expiring = spec();
            expiring.expire_time = Some(START.plus(secs(60)));
            let mut expired = Bench::new(expiring);
            expired.wait(secs(61));
            benches.push(expired);
            for end in [fail(1), release(1), undelivered(1, 1), lose_lease(1, 1)] {
                let mut again = Bench::running();
                again.run(end);
                benches.push(again);
            }
            let mut reopened = Bench::standing(StateKind::Succeeded);
            reopened.run(force_retry());
            benches.push(reopened);
        }
        StateKind::Running => {
            let mut last = spec();
            last.retry_policy.max_attempts = 1;
            let mut last = Bench::new(last);
            last.run(start(1));
            benches.push(last);
            let mut timed = spec();
            timed.timeout = Some(secs(60));
            let mut timed = Bench::new(timed);
            timed.run(start(1));
            timed.wait(secs(61));
            benches.push(timed.clone());
            for on_stuck in [OnStuck::Fail, OnStuck::Notify] {
                let mut watched = spec();
                (watched.stuck_after, watched.on_stuck) = (Some(secs(60)), on_stuck);
                let mut watched = Bench::new(watched);
                watched.run(start(1));
                watched.wait(secs(61));
                benches.push(watched.clone());
                watched.status.progress = watched.status.progress.active_at(START);
                benches.push(watched);
            }
            for (ask, max_attempts) in
                asks().into_iter().flat_map(|ask| [(ask.clone(), 1), (ask, 3)])
            {
                let mut asked = Bench::running();
                asked.status.max_attempts = max_attempts;
                asked.run(ask);
                benches.push(asked.clone());
                asked.wait(secs(31));
                benches.push(asked);
            }
        }
        StateKind::Cancelled => {
            let mut waiting = Bench::new(spec());
            waiting.run(cancel(secs(30)));
            benches.push(waiting);
        }
        StateKind::Failed => {
            let mut expiring = spec();
            expiring.expire_time = Some(START.plus(secs(60)));
            let mut expired = Bench::new(expiring);
            expired.wait(secs(61)).run(Command::MeetDeadline);
            benches.push(expired);
        }
        StateKind::Succeeded | StateKind::Skipped => {}
    }
    assert!(benches.iter().all(|bench| bench.kind() == state));
    benches
}

fn asks() -> Vec<Command> {
    let causes = [
        CancelCause::Timeout,
        CancelCause::Stuck,
        CancelCause::ResourceLimit,
        CancelCause::Overlap,
    ];
    let mut asks: Vec<_> = causes.into_iter().map(|cause| request_stop(1, cause)).collect();
    asks.push(cancel(secs(30)));
    asks
}

/// Commands of a kind in every way that makes a difference, under the lease `epoch`.
fn commands(bench: &Bench, kind: CommandKind, epoch: i64) -> Vec<Command> {
    let revision = bench.status.revision;
    match kind {
        CommandKind::Start => vec![start(2)],
        CommandKind::Adopt => vec![adopt(epoch, 1), adopt(epoch, 2)],
        CommandKind::Succeed => vec![succeed(epoch)],
        CommandKind::Fail => vec![fail(epoch), fail_for_good(epoch)],
        CommandKind::ReportUse => vec![report_use(epoch, 7), report_use(epoch, 8)],
        CommandKind::ConfirmCancelled => vec![confirm(epoch)],
        CommandKind::Release => {
            let by_server = [
                undelivered(epoch, 1),
                undelivered(epoch, 2),
                not_held(epoch, 2),
                drained(epoch, 1),
                drained(epoch, 2),
            ];
            [release(epoch)].into_iter().chain(by_server).collect()
        }
        CommandKind::LoseLease => vec![lose_lease(epoch, 1), lose_lease(epoch, 2)],
        CommandKind::Cancel => vec![cancel(Duration::ZERO), cancel(secs(5)), cancel(secs(3_600))],
        CommandKind::RequestStop => {
            vec![request_stop(epoch, CancelCause::Stuck), request_stop(epoch, CancelCause::Overlap)]
        }
        CommandKind::StopStuck => {
            vec![stop_stuck(epoch, revision), stop_stuck(epoch, revision - 1)]
        }
        CommandKind::NoteStuck => {
            vec![note_stuck(epoch, revision), note_stuck(epoch, revision - 1)]
        }
        CommandKind::NoteSlow => vec![note_slow(epoch)],
        CommandKind::Expire => vec![expire(revision), expire(revision - 1)],
        CommandKind::MeetDeadline => vec![Command::MeetDeadline],
        CommandKind::Skip => vec![skip()],
        CommandKind::Retry => {
            let later = Some(START.plus(secs(7_200)));
            let later = Command::Retry { schedule_time: later, force: false };
            vec![retry(), force_retry(), later]
        }
    }
}

fn rule(state: StateKind, kind: CommandKind) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.from == state && rule.command == kind)
}

/// A state, a command and where the job stood afterwards.
type Seen = BTreeSet<(StateKind, CommandKind, StateKind)>;

fn check(bench: &Bench, command: &Command, seen: &mut Seen) {
    let (state, kind) = (bench.kind(), command.kind());
    let said = bench.status.execution.as_ref().and_then(|execution| execution.report);
    let is_repeat = command.lease_epoch() == Some(bench.status.lease_epoch)
        && state != StateKind::Running
        && command.report().is_some()
        && command.report() == said;
    match (rule(state, kind), bench.try_run(command.clone())) {
        (Some(rule), Ok(applied)) => {
            let to = match applied {
                Applied::Changed(transition) => transition.status.kind(),
                Applied::Unchanged => state,
            };
            assert!(rule.to.contains(&to), "{state:?} {command:?} led to {to:?}");
            seen.insert((state, kind, to));
        }
        (None, Ok(applied)) => {
            assert!(is_repeat, "{state:?} took {command:?}, which is not in the table");
            assert_eq!(applied, Applied::Unchanged);
        }
        (_, Err(Refusal::StaleLease { held, presented, state: told })) => {
            assert!(!is_repeat, "{state:?} {command:?}: a repeat was refused");
            assert_eq!((held, told), (bench.status.lease_epoch, state));
            assert_eq!(Some(presented), command.lease_epoch());
            assert!(presented != held || state != StateKind::Running);
        }
        (Some(_), Err(Refusal::NotDue { schedule_time })) => {
            assert_eq!(kind, CommandKind::Start);
            assert!(schedule_time > bench.now);
        }
        (rule, Err(Refusal::IllegalTransition { state: told, command: named })) => {
            assert_eq!((told, named), (state, kind));
            let conditional = [
                (StateKind::Pending, CommandKind::Start),
                (StateKind::Succeeded, CommandKind::Retry),
            ];
            let by_condition = conditional.contains(&(state, kind));
            assert!(rule.is_none() || by_condition, "{state:?} refused {command:?}");
        }
        (None, Err(refusal @ Refusal::NotDue { .. })) => panic!("{state:?} {kind:?}: {refusal:?}"),
    }
}

fn walk() -> Seen {
    let mut seen = Seen::new();
    for state in StateKind::ALL {
        for bench in standing(state) {
            let held = bench.status.lease_epoch;
            for kind in CommandKind::ALL {
                for epoch in [held, held - 1, held + 1, 0] {
                    for command in commands(&bench, kind, epoch) {
                        check(&bench, &command, &mut seen);
                    }
                }
            }
        }
    }
    seen
}

#[test]
fn the_table_and_the_machine_say_the_same() {
    walk();
}

#[test]
fn every_way_in_the_table_is_taken_by_some_job() {
    let seen = walk();
    for rule in RULES {
        for to in rule.to {
            let way = (rule.from, rule.command, *to);
            assert!(seen.contains(&way), "nothing goes the way {way:?}");
        }
    }
}

#[test]
fn no_pair_stands_in_the_table_twice() {
    let pairs: BTreeSet<_> = RULES.iter().map(|rule| (rule.from, rule.command)).collect();
    assert_eq!(pairs.len(), RULES.len());
}

#[test]
fn allowed_names_the_commands_of_the_state() {
    let allowed: Vec<_> = allowed(StateKind::Failed).collect();
    assert_eq!(allowed, [CommandKind::Retry, CommandKind::MeetDeadline]);
}

#[test]
fn a_closed_lease_knows_its_closing_report_and_no_other() {
    for (state, repeat) in [
        (StateKind::Succeeded, succeed(1)),
        (StateKind::Failed, fail_for_good(1)),
        (StateKind::Cancelled, confirm(1)),
    ] {
        let bench = Bench::standing(state);
        bench.unchanged(repeat.clone());
        for other in [succeed(1), fail(1), confirm(1), release(1), undelivered(1, 1), adopt(1, 2)] {
            if other.report() == repeat.report() {
                continue;
            }
            let refused = bench.try_run(other).unwrap_err();
            assert_eq!(refused, Refusal::StaleLease { held: 1, presented: 1, state });
        }
    }
}

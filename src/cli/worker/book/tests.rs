//! What is said, in which order, and what follows from each answer.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;
use crate::cli::client::Refusal;
use crate::cli::worker::Event;
use crate::cli::worker::tests::job;
use crate::proto::v1::report_progress_request::Kind;
use crate::proto::v1::report_progress_request::update::Report;
use crate::proto::v1::report_progress_response::{Revoke, Welcome};
use crate::runtime::Clock;

mod used;

const LATER: Duration = Duration::from_secs(3600);

fn lease(number: u8) -> Lease {
    Lease { job_id: format!("job-{number}"), epoch: 1 }
}

fn line(text: &str) -> LogEntry {
    LogEntry { message: text.to_owned(), ..LogEntry::default() }
}

fn done() -> Outcome {
    Outcome::Succeeded { result: None }
}

fn progress(completed: i64) -> Progress {
    Progress { completed, ..Progress::default() }
}

/// A book that is attached and holds these jobs.
fn attached(jobs: &[u8]) -> (Book, Instant) {
    let leases: Vec<_> = jobs.iter().copied().map(lease).collect();
    let mut book = Book::new(0, 1 << 20, &leases);
    let now = Clock::monotonic();
    attach(&mut book, now);
    (book, now)
}

fn attach(book: &mut Book, now: Instant) {
    book.hello();
    book.welcome(Welcome::default());
    // Capacity and a first sign of life.
    assert!(matches!(say(book, now), Some(Kind::Capacity(_))));
    assert!(matches!(say(book, now), Some(Kind::Heartbeat(_))));
}

fn say(book: &mut Book, now: Instant) -> Option<Kind> {
    match book.next(now) {
        Next::Say(message) => message.kind,
        Next::Wait(_) => None,
    }
}

/// All updates that are due, as (seq, job, what).
fn updates(book: &mut Book, now: Instant) -> Vec<(i64, String, String)> {
    let mut said = Vec::new();
    while let Some(kind) = say(book, now) {
        if let Kind::Update(update) = kind {
            let what = match update.report.unwrap() {
                Report::Progress(progress) => format!("progress {}", progress.completed),
                Report::ResourceUsage(_) => "usage".to_owned(),
                Report::QuotaUse(of) => format!("{} of {}", of.units, of.name),
                Report::Logs(batch) => {
                    let lines = batch.entries.into_iter().map(|entry| entry.message);
                    format!("lines {}", lines.collect::<Vec<_>>().join(","))
                }
                Report::Succeeded(succeeded) => match succeeded.progress {
                    Some(progress) => format!("succeeded at {}", progress.completed),
                    None => "succeeded".to_owned(),
                },
                Report::Failed(failed) => format!("failed {}", failed.error.unwrap().code),
                Report::Cancelled(_) => "cancelled".to_owned(),
                Report::Released(_) => "released".to_owned(),
            };
            said.push((update.seq, update.job_id, what));
        }
    }
    said
}

fn whats(book: &mut Book, now: Instant) -> Vec<String> {
    updates(book, now).into_iter().map(|(_, _, what)| what).collect()
}

fn refusal(code: Code, reason: &str, retry: Option<Duration>) -> Refusal {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "jobplane", std::collections::HashMap::new());
    if let Some(retry) = retry {
        details.set_retry_info(Some(retry));
    }
    Refusal::of(&Status::with_error_details(code, "no", details), "report", "here")
}

#[test]
fn ticks_are_merged_and_keep_the_pace_and_the_last_one_goes_before_the_end() {
    let (mut book, now) = attached(&[1]);
    for completed in 0..50 {
        book.progress(&lease(1), progress(completed));
    }
    assert_eq!(whats(&mut book, now), ["progress 49"]);
    book.progress(&lease(1), progress(50));
    assert!(whats(&mut book, now).is_empty(), "too early");
    let Next::Wait(Some(at)) = book.next(now) else { panic!("a tick waits") };
    assert_eq!(at, now + REPORT_INTERVAL_UNWATCHED);
    book.progress(&lease(1), progress(51));
    assert_eq!(whats(&mut book, at), ["progress 51"]);
    book.progress(&lease(1), progress(52));
    book.usage(&lease(1), ResourceUsage::default());
    book.end(&lease(1), done());
    assert_eq!(whats(&mut book, at), ["progress 52", "usage", "succeeded"]);
    book.progress(&lease(1), progress(53));
    assert!(whats(&mut book, at + LATER).is_empty(), "it is over");
}

#[test]
fn an_outcome_follows_the_lines_before_it_once_they_are_answered() {
    let (mut book, now) = attached(&[1, 2]);
    book.log(&lease(1), line("a"), now);
    book.log(&lease(1), line("b"), now);
    book.end(&lease(1), done());
    book.end(&lease(2), done());
    let said = updates(&mut book, now);
    assert_eq!(said[0], (1, "job-2".to_owned(), "succeeded".to_owned()), "it has no lines");
    assert_eq!(said[1], (2, "job-1".to_owned(), "lines a,b".to_owned()));
    assert_eq!(said.len(), 2);
    assert!(matches!(&book.acked(2)[..], [Event::Settled { answer: Ok(()), .. }]));
    assert_eq!(updates(&mut book, now), [(3, "job-1".to_owned(), "succeeded".to_owned())]);
    assert_eq!(book.held(), 1, "until the outcome is answered");
    assert!(matches!(&book.acked(3)[..], [Event::Settled { answer: Ok(()), .. }]));
    assert!(book.is_settled() && book.open_lines() == 0);
}

#[test]
fn lines_linger_for_company() {
    let (mut book, now) = attached(&[1]);
    book.log(&lease(1), line("a"), now);
    assert!(whats(&mut book, now).is_empty());
    let Next::Wait(Some(at)) = book.next(now) else { panic!("they are due") };
    assert!(at <= now + Duration::from_millis(100));
    book.log(&lease(1), line("b"), now);
    assert_eq!(whats(&mut book, at), ["lines a,b"]);
}

#[test]
fn what_was_not_answered_is_said_again_first_and_under_its_number() {
    let (mut book, now) = attached(&[1, 2]);
    book.log(&lease(1), line("a"), now);
    book.progress(&lease(2), progress(7));
    book.end(&lease(2), done());
    let later = now + Duration::from_secs(1);
    let said = updates(&mut book, later);
    let before = [(1, "progress 7"), (2, "succeeded"), (3, "lines a")];
    assert!(said.iter().map(|(seq, _, what)| (*seq, what.as_str())).eq(before), "{said:?}");

    book.detached();
    book.log(&lease(1), line("b"), later);
    book.end(&lease(1), done());
    assert_eq!(book.hello().len(), 2, "both are named");
    book.welcome(Welcome::default());
    let said = updates(&mut book, later);
    let again = [(2, "succeeded at 7"), (3, "lines a"), (4, "lines b")];
    assert!(said.iter().map(|(seq, _, what)| (*seq, what.as_str())).eq(again), "{said:?}");
    book.detached();
    book.welcome(Welcome::default());
    assert_eq!(updates(&mut book, later).len(), 3, "and again");
    assert_eq!(book.open_lines(), 2);
    book.acked(4);
    assert_eq!(whats(&mut book, later), ["succeeded"]);
    book.acked(5);
    assert!(book.is_settled());
}

#[test]
fn no_more_is_under_way_than_the_server_allows_but_outcomes_always_are() {
    let (mut book, now) = attached(&[1, 2]);
    book.welcome(Welcome {
        max_unacked_updates: 2,
        max_unacked_bytes: 20_000,
        ..Welcome::default()
    });
    for number in 0..20 {
        book.log(&lease(1), line(&format!("{number} {}", "x".repeat(3_800))), now);
    }
    let later = now + Duration::from_secs(1);
    let said = updates(&mut book, later);
    assert_eq!(said.len(), 1, "4,000 each: {said:?}");
    assert_eq!(said[0].2.matches(',').count(), 4);
    book.end(&lease(2), done());
    assert_eq!(whats(&mut book, later), ["succeeded"]);
    assert!(whats(&mut book, later).is_empty(), "two are under way");
    book.acked(1);
    assert_eq!(updates(&mut book, later).len(), 1);
    let mut seq = 3;
    while book.open_lines() > 0 {
        book.acked(seq);
        updates(&mut book, later);
        seq += 1;
        assert!(seq < 20);
    }
}

#[test]
fn a_passing_refusal_is_said_again_later_under_a_new_number() {
    let (mut book, now) = attached(&[1]);
    book.log(&lease(1), line("a"), now);
    book.end(&lease(1), done());
    let pause = Duration::from_secs(2);
    let limited = || refusal(Code::ResourceExhausted, "RATE_LIMITED", Some(pause));
    assert_eq!(updates(&mut book, now)[0].0, 1);
    assert!(book.rejected(1, limited(), now).is_none());
    book.acked(1);
    assert!(updates(&mut book, now).is_empty());
    assert_eq!(updates(&mut book, now + pause)[0], (2, "job-1".to_owned(), "lines a".to_owned()));
    book.acked(2);
    assert_eq!(whats(&mut book, now + pause), ["succeeded"]);
    assert!(book.rejected(3, limited(), now + pause).is_none());
    book.acked(3);
    assert!(whats(&mut book, now + pause).is_empty());
    assert_eq!(whats(&mut book, now + pause * 2), ["succeeded"]);
    assert_eq!(book.held(), 1);
}

#[test]
fn a_lost_lease_stops_the_job_unless_its_outcome_is_said() {
    let (mut book, now) = attached(&[1, 2]);
    let stale = || refusal(Code::Aborted, "STALE_LEASE", None);
    book.progress(&lease(1), progress(1));
    book.progress(&lease(2), progress(1));
    book.end(&lease(2), done());
    assert_eq!(updates(&mut book, now).len(), 3);
    let told = book.rejected(1, stale(), now);
    assert!(matches!(told, Some(Event::Revoked { lease: of, .. }) if of == lease(1)));
    assert!(book.rejected(2, stale(), now).is_none(), "the outcome will tell");
    let told = book.rejected(3, stale(), now);
    assert!(matches!(told, Some(Event::Settled { answer: Err(_), .. })), "{told:?}");
    assert!(book.is_settled());
    book.log(&lease(1), line("late"), now);
    assert!(updates(&mut book, now + LATER).is_empty());
}

#[test]
fn an_outcome_that_the_server_will_not_have_fails_the_job_once() {
    let (mut book, now) = attached(&[1]);
    let wrong = || refusal(Code::InvalidArgument, "INVALID_FIELD", None);
    book.end(&lease(1), done());
    assert_eq!(whats(&mut book, now), ["succeeded"]);
    let told = book.rejected(1, wrong(), now);
    assert!(matches!(told, Some(Event::Rejected { what: "outcome", .. })));
    assert_eq!(whats(&mut book, now), ["failed OUTCOME_REFUSED"]);
    let told = book.rejected(2, wrong(), now);
    assert!(matches!(told, Some(Event::Settled { answer: Err(_), .. })));
    assert!(book.is_settled());
}

#[test]
fn wrong_progress_does_not_fail_a_job() {
    let (mut book, now) = attached(&[1]);
    book.progress(&lease(1), progress(-1));
    book.end(&lease(1), done());
    assert_eq!(updates(&mut book, now).len(), 2);
    // Both are lost with the stream; the outcome comes again with the progress on board.
    book.detached();
    book.welcome(Welcome::default());
    assert_eq!(whats(&mut book, now), ["succeeded at -1"]);
    assert!(book.rejected(2, refusal(Code::InvalidArgument, "INVALID_FIELD", None), now).is_none());
    assert_eq!(whats(&mut book, now), ["succeeded"]);
}

#[test]
fn a_job_is_assigned_once_and_confirmed_and_a_newer_lease_takes_the_older_ones_place() {
    let (mut book, now) = attached(&[]);
    book.heard(4);
    let told = book.assigned(job("j", 1)).unwrap();
    assert!(matches!(&told[..], [Event::Assigned { lease, .. }] if lease.epoch == 1));
    let Next::Say(message) = book.next(now) else { panic!("confirmed at once") };
    assert_eq!((message.received_through, message.kind), (4, None));
    assert!(book.assigned(job("j", 1)).unwrap().is_empty());
    let told = book.assigned(job("j", 2)).unwrap();
    assert!(matches!(&told[..], [Event::Revoked { .. }, Event::Assigned { lease, .. }]
        if lease.epoch == 2));
    assert_eq!(book.held(), 1);
}

#[test]
fn revoked_jobs_of_a_welcome_are_lost_and_adopted_ones_may_have_to_stop() {
    let (mut book, _) = attached(&[1, 2]);
    book.detached();
    let revoke = Revoke { job_id: lease(1).job_id, lease_epoch: 1, reason: "gone".to_owned() };
    let adopted = crate::proto::v1::report_progress_response::welcome::Adopted {
        job_id: lease(2).job_id,
        lease_epoch: 1,
        cancel_request: Some(crate::proto::v1::CancelRequest::default()),
    };
    let told = book.welcome(Welcome {
        revoked: vec![revoke],
        adopted: vec![adopted],
        ..Welcome::default()
    });
    assert!(matches!(&told[..], [Event::Cancel { .. }, Event::Revoked { .. }]), "{told:?}");
}

#[test]
fn goodbye_comes_when_all_is_answered() {
    let (mut book, now) = attached(&[1]);
    book.close();
    assert!(say(&mut book, now).is_none(), "a job is open");
    book.end(&lease(1), done());
    assert_eq!(whats(&mut book, now), ["succeeded"]);
    assert!(!book.has_left());
    book.acked(1);
    assert!(matches!(say(&mut book, now), Some(Kind::Goodbye(_))));
    assert!(book.has_left());
}

#[test]
fn long_lines_go_on_in_others() {
    let (mut book, now) = attached(&[1]);
    let text = "ä".repeat(10_000);
    book.log(&lease(1), line(&text), now);
    book.end(&lease(1), done());
    let mut joined = String::new();
    while let Some(kind) = say(&mut book, now) {
        let Kind::Update(update) = kind else { continue };
        let Some(Report::Logs(batch)) = update.report else { panic!("{:?}", update.report) };
        for entry in &batch.entries {
            assert!(prost::Message::encoded_len(entry) <= LOG_ENTRY_BYTES_MAX);
            joined.push_str(&entry.message);
        }
    }
    assert_eq!(joined, text);
}

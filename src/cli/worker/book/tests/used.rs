//! Use of quotas.

use super::*;

fn used(book: &mut Book, said: &[(&str, i64)]) {
    let so_far = said.iter().map(|(name, units)| ((*name).to_owned(), *units)).collect();
    book.quota_use(&lease(1), &so_far);
}

#[test]
fn what_was_used_is_said_a_word_at_a_time_at_the_pace_and_before_the_end() {
    let (mut book, now) = attached(&[1]);
    used(&mut book, &[("a", 1), ("b", 0)]);
    assert_eq!(whats(&mut book, now), ["1 of a", "0 of b"], "nothing at all is a word too");
    used(&mut book, &[("a", 2)]);
    used(&mut book, &[("a", 3), ("b", 0)]);
    let later = now + REPORT_INTERVAL_UNWATCHED;
    assert!(whats(&mut book, later).is_empty(), "the word before is not answered");
    book.acked(2);
    assert!(whats(&mut book, now).is_empty(), "too early");
    let Next::Wait(Some(at)) = book.next(now) else { panic!("a word waits") };
    assert_eq!(at, later);
    assert_eq!(whats(&mut book, later), ["3 of a"], "what was said of b is known");
    used(&mut book, &[("a", 4)]);
    book.end(&lease(1), done());
    assert!(whats(&mut book, later).is_empty(), "the outcome waits for what goes before it");
    book.acked(3);
    assert_eq!(whats(&mut book, later), ["4 of a"], "at the end at once");
    book.acked(4);
    assert_eq!(whats(&mut book, later), ["succeeded"]);
}

#[test]
fn what_was_used_is_said_again_under_its_number_on_the_next_stream() {
    let (mut book, now) = attached(&[1]);
    used(&mut book, &[("a", 1)]);
    let said = updates(&mut book, now);
    used(&mut book, &[("a", 2)]);
    book.detached();
    attach(&mut book, now);
    assert_eq!(updates(&mut book, now), said, "it may have been lost");
    book.acked(1);
    assert_eq!(whats(&mut book, now + REPORT_INTERVAL_UNWATCHED), ["2 of a"]);
}

#[test]
fn use_that_is_refused_for_now_is_said_later_and_what_is_refused_for_good_is_told_once() {
    let (mut book, now) = attached(&[1]);
    used(&mut book, &[("a", 1)]);
    assert_eq!(whats(&mut book, now), ["1 of a"]);
    let pause = Duration::from_secs(9);
    let later = refusal(Code::ResourceExhausted, "RATE_LIMITED", Some(pause));
    assert!(book.rejected(1, later, now).is_none());
    used(&mut book, &[("a", 2)]);
    book.end(&lease(1), done());
    assert!(whats(&mut book, now + pause / 2).is_empty(), "nor the outcome");
    assert_eq!(whats(&mut book, now + pause), ["2 of a"], "the newest word");
    book.acked(2);
    assert_eq!(whats(&mut book, now + pause), ["succeeded"]);

    let (mut book, now) = attached(&[1]);
    for (seq, units) in [(1, 7), (2, 8)] {
        used(&mut book, &[("a", units)]);
        let at = now + REPORT_INTERVAL_UNWATCHED * u32::try_from(units).unwrap();
        assert_eq!(whats(&mut book, at), [format!("{units} of a")]);
        let unknown = refusal(Code::NotFound, "QUOTA_NOT_FOUND", None);
        let told = book.rejected(seq, unknown, at);
        assert_eq!(matches!(told, Some(Event::Rejected { what: "quota use", .. })), seq == 1);
    }
    book.end(&lease(1), done());
    assert_eq!(whats(&mut book, now + LATER), ["succeeded"], "the job goes on without");
}

#[test]
fn use_of_a_job_that_was_lost_goes_nowhere() {
    let (mut book, now) = attached(&[1]);
    used(&mut book, &[("a", 1)]);
    assert_eq!(whats(&mut book, now), ["1 of a"]);
    let stale = refusal(Code::Aborted, "STALE_LEASE", None);
    assert!(matches!(book.rejected(1, stale, now), Some(Event::Revoked { .. })));
    used(&mut book, &[("a", 2)]);
    assert!(whats(&mut book, now + LATER).is_empty() && book.is_settled());
}

//! What is known of where jobs wait.

use super::*;

fn pair(queue: &str) -> Pair {
    (QueueName::new(queue).expect("a name"), JobType::new("sync").expect("a name"))
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn line(due: &[(&str, i64)]) -> Line {
    let line = Line::default();
    for (queue, at) in due {
        let (queue, job_type) = pair(queue);
        line.ready(&queue, &job_type, moment(*at), moment(0));
    }
    line
}

#[test]
fn what_is_due_is_no_longer_ahead_even_if_nobody_takes_it() {
    let line = line(&[("now", 0), ("soon", 10), ("later", 20)]);
    assert_eq!(line.next_due(), Some(moment(10)));
    line.ripen(moment(10));
    assert_eq!(line.next_due(), Some(moment(20)));
    assert_eq!(line.take(9, |_| false), []);
    assert_eq!(line.take(9, |_| true), [pair("now"), pair("soon")]);
    assert_eq!(line.take(9, |_| true), []);
    line.ripen(moment(30));
    assert_eq!((line.next_due(), line.take(9, |_| true)), (None, vec![pair("later")]));
}

#[test]
fn every_pair_gets_its_turn() {
    let line = line(&[("a", 0), ("b", 0), ("c", 0)]);
    assert_eq!(line.take(2, |_| true), [pair("a"), pair("b")]);
    line.more(pair("a"));
    assert_eq!(line.take(2, |_| true), [pair("c"), pair("a")]);
}

fn kind() -> JobType {
    JobType::new("sync").expect("a name")
}

fn full(queue: &str) -> Hold {
    let queue = QueueName::new(queue).expect("a name");
    Hold::QueueFull { queue, running: 1, max: 1 }
}

#[test]
fn a_full_queue_keeps_its_marks_and_is_passed_by_until_a_job_of_it_ends() {
    let line = line(&[("a", 0), ("b", 0)]);
    line.listen();
    assert_eq!(line.take(9, |_| true), [pair("a"), pair("b")]);
    line.more(pair("a"));
    line.hold(&pair("a"), &full("a"));
    assert_eq!(line.take(9, |_| true), []);
    line.freed(&pair("b").0, &kind());
    assert_eq!(line.take(9, |_| true), []);
    line.freed(&pair("a").0, &kind());
    assert_eq!(line.take(9, |_| true), [pair("a")]);
}

#[test]
fn what_ended_while_a_round_read_is_not_closed_by_it() {
    let line = line(&[("a", 0)]);
    line.listen();
    line.freed(&pair("a").0, &kind());
    line.hold(&pair("a"), &full("a"));
    assert_eq!(line.take(9, |_| true), [pair("a")]);
    line.freed(&pair("a").0, &kind());
    assert_eq!(line.state.lock().closed.park(pair("a")), Some(pair("a")));
}

#[test]
fn a_full_server_passes_everything_by_until_any_job_ends() {
    let line = line(&[("a", 0), ("b", 0)]);
    line.listen();
    line.hold(&pair("a"), &Hold::ServerFull { running: 1, max: 1 });
    assert_eq!(line.take(9, |_| true), []);
    line.freed(&pair("c").0, &kind());
    assert_eq!(line.take(9, |_| true), [pair("a"), pair("b")]);
}

#[test]
fn a_spent_rate_opens_by_the_clock_and_not_by_an_end() {
    let line = line(&[("a", 0)]);
    line.listen();
    let queue = pair("a").0;
    line.hold(&pair("a"), &Hold::QueueRate { queue: queue.clone(), until: moment(5) });
    line.freed(&queue, &kind());
    line.freed_elsewhere();
    assert_eq!((line.take(9, |_| true), line.next_due()), (vec![], Some(moment(5))));
    line.ripen(moment(5));
    assert_eq!((line.take(9, |_| true), line.next_due()), (vec![pair("a")], None));
}

#[test]
fn a_parked_pair_comes_back_with_the_end_of_a_job_of_its_type_or_with_a_new_look() {
    let line = line(&[("a", 0)]);
    let again: [&dyn Fn(); 3] =
        [&|| line.freed(&pair("b").0, &kind()), &|| line.freed_elsewhere(), &|| line.reopen()];
    for again in again {
        assert_eq!(line.take(9, |_| true), [pair("a")]);
        line.listen();
        line.park(pair("a"));
        assert_eq!(line.take(9, |_| true), []);
        again();
    }
    assert_eq!(line.take(9, |_| true), [pair("a")]);
}

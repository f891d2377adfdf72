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

use super::*;

#[test]
fn everything_that_can_be_set_is_confirmed() {
    let queue = Queue {
        name: "bulk".to_owned(),
        max_running: 3,
        start_rate: 2.0,
        start_burst: 4,
        weight: 5,
        ..Queue::default()
    };
    let text = "queue bulk is open, at most 3 running, starts 2/s, up to 4 at once, weight 5";
    assert_eq!(said(&queue), text);
    assert_eq!(said(&Queue { name: "q".to_owned(), ..Queue::default() }), "queue q is open");
}

#[test]
fn a_rate_is_shown_as_it_was_said() {
    let shown = |per_second| start_rate(&Queue { start_rate: per_second, ..Queue::default() });
    for (per_second, text) in [
        (1.0 / 86_400.0, "1/day"),
        (100.0 / 3_600.0, "100/h"),
        (1.5, "90/min"),
        (1.0 / 7.0, "1/7s"),
        (0.123_456, "0.12/s"),
    ] {
        assert_eq!(shown(per_second).as_deref(), Some(text));
    }
    assert_eq!(shown(0.0), None);
}

/// What is sent where the command line says this.
fn sent(rate: &str, start_burst: Option<u32>) -> (i64, Vec<&'static str>) {
    let set = Set {
        queue: "q".to_owned(),
        max_running: None,
        max_pending: None,
        start_rate: Some(parse::rate(rate).unwrap()),
        start_burst,
        weight: None,
        time: Limit::default(),
    };
    let (queue, paths) = set.wire();
    (queue.start_burst, paths)
}

#[test]
fn a_rate_lets_as_many_start_at_once_as_in_a_file() {
    let both = || vec!["start_rate", "start_burst"];
    assert_eq!(sent("100/h", None), (100, both()));
    assert_eq!(sent("20/15m", None), (20, both()));
    assert_eq!(sent("10/s", None), (0, both()), "as many as in a second are those of its period");
    assert_eq!(sent("100/h", Some(3)), (3, both()));
    assert_eq!(sent("0.5", None), (0, vec!["start_rate"]), "nothing is said of a burst");
    assert_eq!(sent("0.5", Some(3)), (3, both()));
}

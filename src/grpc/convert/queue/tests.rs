use super::*;

fn read(queue: v1::Queue, paths: &[&str]) -> Result<QueueChange, Violations> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    let queue = Some(v1::Queue { name: "bulk".to_owned(), ..queue });
    let mut violations = Violations::default();
    from_proto(v1::UpdateQueueRequest { queue, update_mask }, &mut violations).ok_or(violations)
}

#[test]
fn a_burst_needs_a_rate() {
    let queue = v1::Queue { start_burst: 5, ..v1::Queue::default() };
    let change = read(queue, &["start_burst"]).unwrap();
    let mut violations = Violations::default();
    change.apply(&mut QueueSettings::default(), &mut violations);
    assert_eq!(violations.as_slice()[0].field, "queue.start_burst");
    let rate = StartRate { count: 1, period: std::time::Duration::from_secs(1), burst: 0 };
    let mut held = QueueSettings { start_rate: Some(rate), ..QueueSettings::default() };
    let mut violations = Violations::default();
    change.apply(&mut held, &mut violations);
    assert_eq!((violations.is_empty(), held.start_rate.unwrap().burst), (true, 5));
}

#[test]
fn a_cap_that_is_wrong_either_way_is_told_the_same_bounds() {
    for max_running in [-1, 10_000_001] {
        let queue = v1::Queue { max_running, ..v1::Queue::default() };
        let violations = read(queue, &[]).unwrap_err();
        let [one] = violations.as_slice() else { panic!("{violations:?}") };
        assert_eq!(one.description, format!("must be from 0 to 10000000, is {max_running}"));
    }
}

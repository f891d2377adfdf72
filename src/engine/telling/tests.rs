use super::*;

#[test]
fn a_queue_that_stays_late_is_told_once() {
    let name = |name: &str| QueueName::new(name).unwrap();
    let (held, hour) = (Late::default(), Duration::from_secs(3600));
    let late = |names: &[&str]| names.iter().map(|queue| (name(queue), hour)).collect();
    let look = |names: &[&str]| {
        let new: Vec<QueueName> =
            held.take_up(&late(names)).into_iter().map(|(queue, _)| queue).collect();
        held.told(new.clone());
        new
    };
    assert_eq!(look(&["a"]), [name("a")]);
    assert_eq!(look(&["a", "b"]), [name("b")]);
    assert_eq!(look(&["b"]), []);
    assert_eq!(look(&["a", "b"]), [name("a")], "it was not late in between");
}

#[test]
fn what_could_not_be_told_is_told_later() {
    let held = Late::default();
    let late = BTreeMap::from([(QueueName::default(), Duration::from_secs(9))]);
    assert_eq!(held.take_up(&late).len(), 1);
    assert_eq!(held.take_up(&late).len(), 1);
}

use super::*;
use crate::proto::v1::event as wire;

fn event(facts: Facts) -> Event {
    Event { facts: Some(facts), ..Event::default() }
}

#[test]
fn an_event_is_told_in_a_few_words() {
    let failed = |attempts, code: &str| {
        let (code, message) = (code.to_owned(), "no room".to_owned());
        event(Facts::JobFailed(wire::JobFailed { attempts, code, message }))
    };
    assert_eq!(what(&failed(3, "DISK_FULL")), "DISK_FULL (tried 3 times): no room");
    assert_eq!(what(&failed(1, "")), "failed (tried 1 time): no room");
    let cancelled = |requested_by: &str, reason: &str| {
        let (requested_by, reason) = (requested_by.to_owned(), reason.to_owned());
        event(Facts::JobCancelled(wire::JobCancelled { requested_by, reason }))
    };
    assert_eq!(what(&cancelled("ann", "enough")), "by ann: enough");
    assert_eq!(what(&cancelled("ann", "")), "by ann");
    assert_eq!(what(&cancelled("", "over")), "over");
    let lost = |jobs| {
        let (worker_id, instance_id) = ("w1".to_owned(), String::new());
        event(Facts::WorkerLost(wire::WorkerLost { worker_id, instance_id, jobs }))
    };
    assert_eq!(
        [0, 1, 2].map(|jobs| what(&lost(jobs))),
        ["held no job", "held 1 job", "held 2 jobs"]
    );
    assert_eq!(about(&lost(0)), "w1");
    let exhausted = |used, cost| {
        let quota = "api".to_owned();
        let facts = wire::QuotaExhausted { quota, limit: 10, reset_time: None, used, cost };
        what(&event(Facts::QuotaExhausted(facts)))
    };
    assert_eq!(exhausted(8, 4), "8 of 10 used, a start needs 4, until ");
    assert_eq!(exhausted(10, 0), "10 of 10 used, until ");
    assert_eq!(what(&Event::default()), "", "an event of a newer server");
}

#[test]
fn what_it_is_about_is_the_type_or_else_what_is_named() {
    let closed = event(Facts::CircuitClosed(wire::CircuitClosed {}));
    assert_eq!(about(&Event { r#type: "sync".to_owned(), ..closed.clone() }), "sync");
    assert_eq!(about(&Event { queue: "bulk".to_owned(), ..closed }), "bulk");
}

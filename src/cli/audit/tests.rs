use super::*;

fn fields(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_change_begins_with_the_state() {
    let event = AuditEvent {
        before: fields(&[("attempt", "1"), ("state", "FAILED"), ("error.code", "DISK_FULL")]),
        after: fields(&[("attempt", "2"), ("state", "PENDING"), ("max_attempts", "4")]),
        ..AuditEvent::default()
    };
    let said = "state FAILED → PENDING, attempt 1 → 2, error.code was DISK_FULL, max_attempts = 4";
    assert_eq!(change(&event), said);
    assert_eq!(change(&AuditEvent::default()), "");
    let purged = AuditEvent {
        after: fields(&[("cutoff_us", "1750000000000000"), ("jobs", "3")]),
        ..AuditEvent::default()
    };
    assert_eq!(change(&purged), "cutoff = 2025-06-15T15:06:40Z, jobs = 3");
}

#[test]
fn what_it_was_done_to_is_what_is_named() {
    let of = |event: AuditEvent| about(&event).to_owned();
    assert_eq!(of(AuditEvent { r#type: "sync".to_owned(), ..Default::default() }), "sync");
    assert_eq!(of(AuditEvent { queue: "bulk".to_owned(), ..Default::default() }), "bulk");
    assert_eq!(of(AuditEvent { instance_id: "i".to_owned(), ..Default::default() }), "i");
    assert_eq!(of(AuditEvent::default()), "");
}

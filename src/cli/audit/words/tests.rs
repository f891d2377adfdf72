use super::*;

fn event(action: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> AuditEvent {
    let fields = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let (before, after) = (fields(before), fields(after));
    AuditEvent { action: action.to_owned(), before, after, ..AuditEvent::default() }
}

#[test]
fn a_deed_is_told_by_what_it_changed() {
    let on = [("paused", "true")];
    for (of, told) in [
        (event("cancel_job", &[("state", "PENDING")], &[("state", "CANCELLED")]), "cancelled job"),
        (event("cancel_job", &[], &[("cancel_request.cause", "CALLER")]), "asked job to stop"),
        (event("update_queue", &[], &on), "paused queue"),
        (event("update_queue", &on, &[]), "resumed queue"),
        (event("update_queue", &[], &[("max_running", "3")]), "changed queue"),
        (event("put_job_type", &[], &[("type", "sync")]), "declared type"),
        (event("put_job_type", &[], &[("max_concurrent", "3")]), "changed type"),
        (event("put_job_type", &[], &[("disabled", "true")]), "disabled type"),
        (event("put_job_type", &[("disabled", "true")], &[]), "enabled type"),
        (event("put_job_type", &[], &[("schedule.paused", "true")]), "paused schedule of type"),
        (event("put_quota", &[], &[("limit", "5")]), "set up quota"),
        (event("put_quota", &[("limit", "5")], &[("limit", "6")]), "changed quota"),
        (event("bulk_cancel_jobs", &[], &[("count", "1200")]), "began to cancel 1,200 jobs"),
        (event("retention", &[], &[("jobs", "1")]), "purged 1 job"),
        (event("of_a_newer_server", &[], &[]), "of_a_newer_server"),
    ] {
        assert_eq!(did(&of), told);
    }
}

#[test]
fn every_action_has_words_of_one_style() {
    for action in AuditAction::ALL {
        let told = did(&event(action.as_str(), &[], &[]));
        let verb = told.split(' ').next().unwrap();
        let is_past = verb.ends_with("ed") || ["set", "began", "swept", "took"].contains(&verb);
        assert!(is_past && told.contains(' ') && !told.contains('_'), "{action:?}: {told}");
    }
}

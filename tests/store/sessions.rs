//! Sessions, their leases, and the jobs that hang on them.

use std::time::Duration;

use jobplane::domain::{EndReason, Session};
use jobplane::store::{Batch, Orphan, Prune, SessionWrite, Store};

use crate::on_each_store;
use crate::world::{
    at, batch, born, command, commit, given, job_id, open_session, process, progress, session,
    session_id, spec, start,
};

const SECOND: Duration = Duration::from_secs(1);

async fn write(store: &dyn Store, seconds: u64, sessions: Vec<SessionWrite>) -> Vec<bool> {
    commit(store, Batch { sessions, ..batch(at(seconds)) }).await.sessions
}

async fn read(store: &dyn Store, number: u64) -> Session {
    store.session(session_id(number)).await.expect("a read").expect("the session")
}

async fn opened_session_reads_back(store: &dyn Store) {
    open_session(store, session(1, "i", at(0))).await;
    assert_eq!(read(store, 1).await, session(1, "i", at(0)));
    assert_eq!(store.session(session_id(2)).await.expect("a read"), None);
    let again = vec![SessionWrite::Open(session(1, "other", at(5)))];
    assert_eq!(write(store, 5, again).await, vec![false]);
    assert_eq!(read(store, 1).await, session(1, "i", at(0)));
}

async fn new_attach_of_a_process_supersedes_its_older_streams_only(store: &dyn Store) {
    let mut unary = session(2, "i", at(0));
    unary.unary = true;
    let mut stranger = session(3, "i", at(0));
    "somebody else".clone_into(&mut stranger.principal);
    let all =
        [session(1, "i", at(0)), unary, stranger, session(4, "j", at(0)), session(5, "", at(0))];
    for older in all {
        open_session(store, older).await;
    }
    open_session(store, session(6, "i", at(7))).await;
    open_session(store, session(7, "", at(7))).await;
    let mut call = session(8, "i", at(8));
    call.unary = true;
    open_session(store, call).await;
    assert_eq!(read(store, 1).await.end, Some((at(7), EndReason::Superseded)));
    for number in 2..=8 {
        assert_eq!(read(store, number).await.end, None, "session {number}");
    }
    let instance = process("i");
    let open = store.sessions_of(&instance, "tester").await.expect("a read");
    let open: Vec<_> = open.into_iter().map(|session| session.id).collect();
    assert_eq!(open, vec![session_id(8), session_id(6), session_id(2)]);
}

async fn two_attaches_in_one_batch_leave_the_last_one(store: &dyn Store) {
    let opens = [session(1, "i", at(0)), session(2, "i", at(0))].map(SessionWrite::Open);
    assert_eq!(write(store, 0, opens.into()).await, vec![true, true]);
    assert_eq!(read(store, 1).await.end, Some((at(0), EndReason::Superseded)));
    assert_eq!(read(store, 2).await.end, None);
}

async fn renewal_counts_from_when_the_peer_was_heard_and_never_back(store: &dyn Store) {
    open_session(store, session(1, "i", at(0))).await;
    let renew = |age: u32, ttl: u32| SessionWrite::Renew {
        id: session_id(1),
        age: SECOND * age,
        ttl: SECOND * ttl,
    };
    assert_eq!(write(store, 20, vec![renew(5, 30)]).await, vec![true]);
    assert_eq!(read(store, 1).await.expire_time, at(45));
    assert_eq!(write(store, 21, vec![renew(20, 30)]).await, vec![true]);
    assert_eq!(read(store, 1).await.expire_time, at(45));
    assert_eq!(write(store, 21, vec![renew(0, 60)]).await, vec![true]);
    assert_eq!((read(store, 1).await.expire_time, read(store, 1).await.ttl), (at(81), SECOND * 60));
}

async fn session_that_ended_stays_as_it_is(store: &dyn Store) {
    open_session(store, session(1, "i", at(0))).await;
    let id = session_id(1);
    let end = SessionWrite::End { id, reason: EndReason::Goodbye };
    assert_eq!(write(store, 3, vec![end.clone()]).await, vec![true]);
    let ended = read(store, 1).await;
    assert_eq!(ended.end, Some((at(3), EndReason::Goodbye)));
    let late = vec![
        end,
        SessionWrite::Renew { id, age: Duration::ZERO, ttl: SECOND * 90 },
        SessionWrite::Shorten { id, keep: SECOND },
        SessionWrite::EndIfUnary { id },
        SessionWrite::Expire { id },
        SessionWrite::Expire { id: session_id(9) },
    ];
    assert_eq!(write(store, 99, late).await, vec![false; 6]);
    assert_eq!(read(store, 1).await, ended);
}

async fn only_a_unary_session_ends_with_its_job(store: &dyn Store) {
    let mut unary = session(1, "i", at(0));
    unary.unary = true;
    open_session(store, unary).await;
    open_session(store, session(2, "j", at(0))).await;
    let done = |number| SessionWrite::EndIfUnary { id: session_id(number) };
    let writes = vec![done(1), done(1), done(2), done(9)];
    assert_eq!(write(store, 3, writes).await, vec![true, false, false, false]);
    assert_eq!(read(store, 1).await.end, Some((at(3), EndReason::Done)));
    assert_eq!(read(store, 2).await, session(2, "j", at(0)));
}

async fn session_expires_only_when_its_lease_has_run_out(store: &dyn Store) {
    open_session(store, session(1, "i", at(0))).await;
    open_session(store, session(2, "j", at(5))).await;
    let id = session_id(1);
    let expire = SessionWrite::Expire { id };
    assert_eq!(write(store, 29, vec![expire.clone()]).await, vec![false]);
    let shorten = SessionWrite::Shorten { id, keep: SECOND * 10 };
    assert_eq!(write(store, 10, vec![shorten.clone()]).await, vec![true]);
    assert_eq!(write(store, 15, vec![shorten]).await, vec![true]);
    assert_eq!(read(store, 1).await.expire_time, at(20), "a lease is only shortened");
    assert_eq!(store.expired_sessions(at(19), 9).await.expect("a read"), vec![]);
    assert_eq!(store.expired_sessions(at(20), 9).await.expect("a read"), vec![id]);
    let both = store.expired_sessions(at(99), 9).await.expect("a read");
    assert_eq!(both, vec![id, session_id(2)]);
    assert_eq!(write(store, 20, vec![expire]).await, vec![true]);
    assert_eq!(read(store, 1).await.end, Some((at(20), EndReason::Expired)));
    assert_eq!(store.expired_sessions(at(99), 9).await.expect("a read"), vec![session_id(2)]);
}

async fn writes_to_one_session_apply_in_order(store: &dyn Store) {
    let id = session_id(1);
    let writes = vec![
        SessionWrite::Renew { id, age: Duration::ZERO, ttl: SECOND },
        SessionWrite::Open(session(1, "i", at(0))),
        SessionWrite::Shorten { id, keep: SECOND * 2 },
        SessionWrite::Renew { id, age: Duration::ZERO, ttl: SECOND * 9 },
        SessionWrite::End { id, reason: EndReason::Done },
        SessionWrite::Renew { id, age: Duration::ZERO, ttl: SECOND * 99 },
    ];
    let applied = vec![false, true, true, true, true, false];
    assert_eq!(write(store, 0, writes).await, applied);
    assert_eq!(read(store, 1).await.expire_time, at(9));
}

async fn running_jobs_on_ended_or_forgotten_sessions_are_orphans(store: &dyn Store) {
    given(store, (1..=4).map(|number| born(number, spec(), at(0))).collect()).await;
    for number in 1..=3 {
        open_session(store, session(number, "", at(0))).await;
        command(store, number, start(number), at(1)).await;
    }
    command(store, 4, start(77), at(1)).await;
    let ends = vec![
        SessionWrite::End { id: session_id(2), reason: EndReason::Goodbye },
        SessionWrite::Expire { id: session_id(3) },
    ];
    write(store, 60, ends).await;
    let mut orphans = store.orphans(10).await.expect("orphans");
    orphans.sort_by_key(|orphan| orphan.job_id);
    let orphan = |number, session, reason| Orphan {
        job_id: job_id(number),
        lease_epoch: 1,
        session: session_id(session),
        reason,
    };
    let want = vec![
        orphan(2, 2, EndReason::Goodbye),
        orphan(3, 3, EndReason::Expired),
        orphan(4, 77, EndReason::Expired),
    ];
    assert_eq!(orphans, want);
    assert_eq!(store.orphans(1).await.expect("orphans").len(), 1);
}

async fn held_jobs_are_those_that_run_on_the_sessions(store: &dyn Store) {
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    command(store, 1, start(1), at(1)).await;
    command(store, 2, start(2), at(1)).await;
    commit(store, Batch { progress: vec![progress(1, 1, 4)], ..batch(at(2)) }).await;
    let held = store.held(&[session_id(1), session_id(1), session_id(9)]).await.expect("held");
    assert_eq!(held.iter().map(|job| job.id).collect::<Vec<_>>(), vec![job_id(1)]);
    assert_eq!(held[0].status.progress.sequence, 4);
    assert!(store.held(&[]).await.expect("held").is_empty());
}

async fn ended_sessions_are_listed_for_a_while_and_pruned(store: &dyn Store) {
    open_session(store, session(1, "a", at(0))).await;
    open_session(store, session(2, "b", at(1))).await;
    open_session(store, session(3, "c", at(2))).await;
    let end = |number| SessionWrite::End { id: session_id(number), reason: EndReason::Goodbye };
    write(store, 10, vec![end(1)]).await;
    write(store, 20, vec![end(2)]).await;
    let listed = |sessions: Vec<Session>| -> Vec<_> {
        sessions.into_iter().map(|session| session.id).collect()
    };
    let recent = listed(store.sessions(at(10)).await.expect("a read"));
    assert_eq!(recent, vec![session_id(3), session_id(2)]);
    let prune = Prune {
        changes_before: at(0),
        sessions_before: at(20),
        requests_before: at(0),
        buckets_before: at(0),
        events_before: at(0),
        audit_before: at(0),
        limit: 9,
    };
    assert_eq!(store.prune(prune).await.expect("a prune"), 1);
    let left = listed(store.sessions(at(0)).await.expect("a read"));
    assert_eq!(left, vec![session_id(3), session_id(2)]);
}

on_each_store!(
    opened_session_reads_back,
    new_attach_of_a_process_supersedes_its_older_streams_only,
    two_attaches_in_one_batch_leave_the_last_one,
    renewal_counts_from_when_the_peer_was_heard_and_never_back,
    session_that_ended_stays_as_it_is,
    only_a_unary_session_ends_with_its_job,
    session_expires_only_when_its_lease_has_run_out,
    writes_to_one_session_apply_in_order,
    running_jobs_on_ended_or_forgotten_sessions_are_orphans,
    held_jobs_are_those_that_run_on_the_sessions,
    ended_sessions_are_listed_for_a_while_and_pruned,
);

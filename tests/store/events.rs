//! What is told and what is audited: with what it hangs on, once, in order.

use std::time::Duration;

use jobplane::domain::audit::{AuditAction, AuditEvent, AuditSubject, Deed, Fields};
use jobplane::domain::event::{Event, EventName, Facts};
use jobplane::domain::limits::EVENTS_SCANNED_MAX;
use jobplane::domain::{JobSpec, Timestamp};
use jobplane::runtime::Clock;
use jobplane::store::memory::MemoryStore;
use jobplane::store::{
    AuditQuery, Batch, Cause, EventPage, EventQuery, EventsFrom, Probe, Prune, RuleKey, RuleKind,
    RuleWrite, SessionWrite, Store, StoredAudit, Written,
};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, commit, decide, delete, given, job_id, job_type, load, queue,
    request, round, session, session_id, spec, start,
};

/// An event about a type; told apart by its next probe time.
fn event(of: &str, number: u64) -> Event {
    let facts = Facts::CircuitOpened { next_probe_time: at(number) };
    Event::of_type(job_type(of), facts, at(number))
}

/// One that is told once.
fn age(of: &str, number: u64) -> Event {
    let (age, threshold) = (Duration::from_secs(number), Duration::from_secs(1));
    Event::of_queue(queue(of), Facts::QueueAge { age, threshold }, at(0))
}

fn deed(actor: &str, action: AuditAction, number: u64) -> AuditEvent {
    let subject = AuditSubject::Job { id: job_id(number), job_type: job_type("sync") };
    let after = Fields::from([("state".to_owned(), "CANCELLED".to_owned())]);
    Deed::new(actor, action).because("enough".to_owned()).done(
        subject,
        &Fields::new(),
        &after,
        at(number),
    )
}

fn from(from: EventsFrom, limit: usize) -> EventQuery {
    EventQuery { names: Vec::new(), types: Vec::new(), from, limit }
}

async fn page(store: &dyn Store, query: EventQuery) -> EventPage {
    store.events(&query).await.expect("a read").expect("a place of this store")
}

/// Everything that is wanted, in pages of `limit`.
async fn told(store: &dyn Store, mut query: EventQuery) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        let page = page(store, query.clone()).await;
        assert!(page.events.len() <= query.limit);
        told.extend(page.events.into_iter().map(|stored| stored.event));
        if !page.more {
            return told;
        }
        query.from = EventsFrom::After(page.cursor);
    }
}

async fn audited(store: &dyn Store, query: AuditQuery) -> Vec<AuditEvent> {
    let found = store.audit(&AuditQuery { limit: 1_000, ..query }).await.expect("a read");
    found.into_iter().map(|stored| stored.event).collect()
}

async fn tell(store: &dyn Store, events: &[Event]) -> Vec<bool> {
    let mut batch = batch(at(1));
    for event in events {
        batch.tell(Cause::Batch, event.clone());
    }
    let committed = commit(store, batch).await;
    assert!(committed.position.is_some(), "whoever asks for the batch must find it");
    committed.events
}

async fn what_is_told_hangs_on_its_cause(store: &dyn Store) {
    given(store, (1..=4).map(|number| born(number, spec(), at(0))).collect()).await;
    let over = command(store, 3, cancel(), at(1)).await;
    let waiting = [load(store, 1).await.expect("a job"), load(store, 2).await.expect("a job")];
    let mut written = waiting.map(|job| decide(&job, cancel(), at(2)).expect("allowed"));
    written[1].expected_revision += 7;
    let mut stale = delete(&load(store, 4).await.expect("a job"));
    stale.expected_revision += 7;
    let taken = |number| {
        let mut new = born(number, spec(), at(2));
        new.request = Some(request("one"));
        new
    };
    let mut batch = Batch {
        creates: vec![taken(5), taken(6)],
        writes: written.to_vec(),
        deletes: vec![delete(&over), stale],
        sessions: vec![
            SessionWrite::Open(session(1, "", at(2))),
            SessionWrite::Expire { id: session_id(9) },
        ],
        ..batch(at(2))
    };
    let causes = [
        (Cause::Batch, true),
        (Cause::Create(0), true),
        (Cause::Create(1), false),
        (Cause::Write(0), true),
        (Cause::Write(1), false),
        (Cause::Delete(0), true),
        (Cause::Delete(1), false),
        (Cause::Session(0), true),
        (Cause::Session(1), false),
    ];
    for (number, (cause, _)) in (0..).zip(causes) {
        batch.tell(cause, event("sync", number));
        batch.record(cause, deed("ann", AuditAction::CancelJob, number));
    }
    let committed = commit(store, batch).await;
    assert_eq!(committed.writes, [Written::Done, Written::Missed]);
    assert_eq!((committed.deletes, committed.sessions), (vec![true, false], vec![true, false]));
    assert_eq!(committed.events, causes.map(|(_, holds)| holds));
    let held = (0..).zip(causes).filter(|(_, (_, holds))| *holds).map(|(number, _)| number);
    let held: Vec<u64> = held.collect();
    let mut told = told(store, from(EventsFrom::Oldest, 100)).await;
    told.sort_by_key(|event| event.time);
    assert_eq!(told, held.iter().map(|number| event("sync", *number)).collect::<Vec<_>>());
    let mut audited = audited(store, AuditQuery::default()).await;
    audited.reverse();
    let wanted = held.iter().map(|number| deed("ann", AuditAction::CancelJob, *number));
    assert_eq!(audited, wanted.collect::<Vec<_>>());
}

async fn a_missed_rule_leaves_nothing_to_tell(store: &dyn Store) {
    let key = RuleKey::new(RuleKind::Queue, "q");
    let mut missing = Batch { rules: vec![RuleWrite::delete(key, 3)], ..batch(at(1)) };
    missing.tell(Cause::Batch, event("sync", 1));
    missing.record(Cause::Batch, deed("ann", AuditAction::UpdateQueue, 1));
    assert_eq!(commit(store, missing).await.events, [false]);
    assert_eq!(told(store, from(EventsFrom::Oldest, 9)).await, []);
    assert_eq!(audited(store, AuditQuery::default()).await, []);
}

async fn an_event_with_a_key_is_told_once(store: &dyn Store) {
    assert_eq!(tell(store, &[age("a", 1), age("b", 2), age("a", 3)]).await, [true, true, false]);
    assert_eq!(tell(store, &[event("sync", 5), age("a", 4)]).await, [true, false]);
    assert_eq!(tell(store, &[age("b", 4)]).await, [false]);
    let mut told = told(store, from(EventsFrom::Oldest, 100)).await;
    told.sort_by_key(|event| (event.job_type.clone(), event.queue.clone()));
    assert_eq!(told, [age("a", 1), age("b", 2), event("sync", 5)]);
}

const fn one_of_two(number: u64) -> &'static str {
    if number.is_multiple_of(2) { "sync" } else { "backup" }
}

async fn events_come_in_pages_in_order(store: &dyn Store) {
    for number in 0..7 {
        tell(store, &[event("sync", 2 * number), event("backup", 2 * number + 1)]).await;
    }
    let all: Vec<Event> = (0..14).map(|number| event(one_of_two(number), number)).collect();
    for limit in [1, 2, 3, 5, 14, 100] {
        assert_eq!(told(store, from(EventsFrom::Oldest, limit)).await, all, "{limit} a page");
        let query =
            EventQuery { types: vec![job_type("backup")], ..from(EventsFrom::Oldest, limit) };
        let backups = all.iter().filter(|event| event.job_type == Some(job_type("backup")));
        assert_eq!(told(store, query).await, backups.cloned().collect::<Vec<_>>());
    }
    // Whoever has read all goes on with what comes.
    let end = page(store, from(EventsFrom::Oldest, 100)).await;
    assert!(!end.more);
    let on = page(store, from(EventsFrom::After(end.cursor), 5)).await;
    assert_eq!((on.events, on.more), (Vec::new(), false));
    tell(store, &[event("sync", 90), event("sync", 91)]).await;
    let next = page(store, from(EventsFrom::After(on.cursor), 1)).await;
    assert!(next.more);
    assert_eq!(next.events[0].event, event("sync", 90));
    let rest = told(store, from(EventsFrom::After(next.cursor), 5)).await;
    assert_eq!(rest, [event("sync", 91)]);
}

async fn events_are_found_by_name(store: &dyn Store) {
    use EventName::{CircuitClosed, CircuitOpened, JobFailed, QueueAge};
    tell(store, &[event("sync", 1), age("a", 1)]).await;
    tell(store, &[Event::of_type(job_type("sync"), Facts::CircuitClosed, at(2))]).await;
    let named =
        |names: &[EventName]| EventQuery { names: names.to_vec(), ..from(EventsFrom::Oldest, 100) };
    let of = |events: Vec<Event>| events.iter().map(Event::name).collect::<Vec<_>>();
    assert_eq!(of(told(store, named(&[QueueAge])).await), [QueueAge]);
    let both = named(&[CircuitClosed, CircuitOpened]);
    assert_eq!(of(told(store, both).await), [CircuitOpened, CircuitClosed]);
    assert_eq!(of(told(store, named(&[JobFailed])).await), []);
    let of_type = EventQuery { types: vec![job_type("sync")], ..named(&[QueueAge]) };
    assert_eq!(told(store, of_type).await, []);
}

async fn the_last_events_are_followed_by_what_comes(store: &dyn Store) {
    let none = page(store, from(EventsFrom::Last(3), 100)).await;
    assert_eq!((none.events.len(), none.more), (0, false));
    for number in 0..5 {
        tell(store, &[event(one_of_two(number), number)]).await;
    }
    let numbers = |page: &EventPage| {
        page.events.iter().map(|stored| stored.event.time).collect::<Vec<Timestamp>>()
    };
    let last = page(store, from(EventsFrom::Last(2), 100)).await;
    assert_eq!(numbers(&last), [at(3), at(4)]);
    let query = EventQuery { types: vec![job_type("sync")], ..from(EventsFrom::Last(2), 100) };
    assert_eq!(numbers(&page(store, query).await), [at(2), at(4)]);
    let now = page(store, from(EventsFrom::Last(0), 100)).await;
    assert_eq!(numbers(&now), []);
    tell(store, &[event("sync", 9)]).await;
    for cursor in [none.cursor, last.cursor, now.cursor] {
        let next = told(store, from(EventsFrom::After(cursor), 100)).await;
        assert_eq!(next.last(), Some(&event("sync", 9)));
    }
}

async fn what_is_not_wanted_is_walked_past_a_bound_at_a_time(store: &dyn Store) {
    let many: Vec<Event> =
        (0..EVENTS_SCANNED_MAX as u64).map(|number| event("backup", number)).collect();
    tell(store, &many).await;
    tell(store, &[event("sync", 1)]).await;
    let query = EventQuery { types: vec![job_type("sync")], ..from(EventsFrom::Oldest, 3) };
    let first = page(store, query.clone()).await;
    assert_eq!((first.events.len(), first.more), (0, true));
    let next = EventQuery { from: EventsFrom::After(first.cursor), ..query.clone() };
    assert_eq!(told(store, next).await, [event("sync", 1)]);
    assert_eq!(told(store, EventQuery { from: EventsFrom::Last(1), ..query }).await.len(), 1);
}

async fn a_place_that_the_store_never_came_to_is_none(store: &dyn Store) {
    use jobplane::domain::Position;
    use jobplane::domain::event::Cursor;
    tell(store, &[event("sync", 1)]).await;
    for seen in [Position::Sequence(1 << 40), Position::snapshot(1 << 62, Vec::new())] {
        let query = from(EventsFrom::After(Cursor::at(seen)), 5);
        assert_eq!(store.events(&query).await.expect("a read"), None);
    }
}

async fn a_round_tells_too(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    let probe = Probe { queue: queue("default"), job_type: job_type("sync"), limit: 2, cap: None };
    let round = round(store, &[probe], at(1)).await;
    let writes = round.candidates().iter().filter_map(|job| decide(job, start(1), at(1)));
    let mut writes: Vec<_> = writes.collect();
    writes[1].expected_revision += 5;
    let mut starts = Batch { writes, ..batch(at(1)) };
    starts.tell(Cause::Write(0), event("sync", 1));
    starts.tell(Cause::Write(1), event("sync", 2));
    let committed = round.commit(starts).await.expect("a commit");
    assert_eq!(committed.events, [true, false]);
    assert_eq!(told(store, from(EventsFrom::Oldest, 5)).await, [event("sync", 1)]);
}

async fn deeds_come_newest_first_and_are_found_by_each_field(store: &dyn Store) {
    let mut batch = batch(at(1));
    let actors = ["ann", "bob"];
    let actions = [AuditAction::CancelJob, AuditAction::RetryJob, AuditAction::DeleteJob];
    let mut all: Vec<AuditEvent> = (0..12_usize)
        .map(|number| deed(actors[number % 2], actions[number % 3], number as u64 / 2))
        .collect();
    let spec = Fields::from([("disabled".to_owned(), "true".to_owned())]);
    let subject = AuditSubject::Type(job_type("backup"));
    all.push(Deed::new("ann", AuditAction::PutJobType).done(subject, &spec, &Fields::new(), at(3)));
    let subject = AuditSubject::Queue(queue("bulk"));
    all.push(Deed::new("eve", AuditAction::UpdateQueue).done(subject, &spec, &spec, at(4)));
    for event in &all {
        batch.record(Cause::Batch, event.clone());
    }
    commit(store, batch).await;
    // Of those of one moment the one recorded last comes first.
    all.sort_by_key(|event| event.time);
    all.reverse();
    let by = |wanted: &dyn Fn(&AuditEvent) -> bool| -> Vec<AuditEvent> {
        all.iter().filter(|event| wanted(event)).cloned().collect()
    };
    let none = AuditQuery::default;
    let (ann, job) = (Some("ann".to_owned()), Some(job_id(2)));
    let sync = Some(job_type("sync"));
    let queries: Vec<(AuditQuery, Vec<AuditEvent>)> = vec![
        (none(), all.clone()),
        (AuditQuery { actor: ann.clone(), ..none() }, by(&|event| event.actor == "ann")),
        (AuditQuery { job_id: job, ..none() }, by(&|event| event.job_id() == job)),
        (
            AuditQuery { job_type: sync.clone(), ..none() },
            by(&|event| event.job_type() == sync.as_ref()),
        ),
        (
            AuditQuery { actions: vec![AuditAction::RetryJob, AuditAction::UpdateQueue], ..none() },
            by(&|event| matches!(event.action, AuditAction::RetryJob | AuditAction::UpdateQueue)),
        ),
        (
            AuditQuery { time_after: Some(at(2)), time_before: Some(at(4)), ..none() },
            by(&|event| event.time >= at(2) && event.time < at(4)),
        ),
        (
            AuditQuery { actor: ann, job_id: job, job_type: sync, ..none() },
            by(&|event| event.actor == "ann" && event.job_id() == job),
        ),
        (AuditQuery { actor: Some("nobody".to_owned()), ..none() }, Vec::new()),
    ];
    for (query, wanted) in queries {
        assert_eq!(audited(store, query.clone()).await, wanted, "{query:?}");
        // The same in pages.
        let mut before = None;
        let mut paged: Vec<AuditEvent> = Vec::new();
        loop {
            let query = AuditQuery { before, limit: 3, ..query.clone() };
            let found = store.audit(&query).await.expect("a read");
            before = found.last().map(StoredAudit::place);
            paged.extend(found.iter().map(|stored| stored.event.clone()));
            if found.len() < 3 {
                break;
            }
        }
        assert_eq!(paged, wanted, "{query:?}");
    }
}

async fn deeds_of_several_actions_are_those_of_one_moment(store: &dyn Store) {
    let actions = [AuditAction::CancelJob, AuditAction::RetryJob, AuditAction::UpdateQueue];
    let over = std::cell::Cell::new(false);
    let writing = async {
        for number in 0..100 {
            let mut batch = batch(at(number));
            for action in actions {
                batch.record(Cause::Batch, deed("ann", action, number));
            }
            commit(store, batch).await;
        }
        over.set(true);
    };
    let reading = async {
        while !over.get() {
            let query = AuditQuery { actions: actions.to_vec(), ..AuditQuery::default() };
            let found = audited(store, query).await;
            let [cancels, retries, updates] =
                actions.map(|action| found.iter().filter(|it| it.action == action).count());
            assert_eq!((cancels, retries), (retries, updates), "a commit is whole");
            tokio::task::yield_now().await;
        }
    };
    futures_util::future::join(writing, reading).await;
}

async fn what_is_past_its_time_goes_a_bound_at_a_time(store: &dyn Store) {
    for number in 0..6 {
        let mut batch = batch(at(number));
        batch.tell(Cause::Batch, event("sync", number));
        batch.record(Cause::Batch, deed("ann", AuditAction::CancelJob, number));
        commit(store, batch).await;
    }
    tell(store, &[age("a", 1)]).await;
    let prune = Prune {
        changes_before: at(0),
        sessions_before: at(0),
        requests_before: at(0),
        buckets_before: at(0),
        events_before: at(4),
        audit_before: at(3),
        limit: 2,
    };
    for gone in [4, 3, 0] {
        assert_eq!(store.prune(prune).await.expect("a prune"), gone);
    }
    let left = told(store, from(EventsFrom::Oldest, 100)).await;
    assert_eq!(left, [event("sync", 4), event("sync", 5), age("a", 1)]);
    let left = audited(store, AuditQuery::default()).await;
    assert_eq!(left.len(), 3);
    let all = Prune { events_before: at(9), audit_before: at(9), limit: 100, ..prune };
    store.prune(all).await.expect("a prune");
    assert_eq!(told(store, from(EventsFrom::Oldest, 100)).await, []);
    // Nobody remembers it any more.
    assert_eq!(tell(store, &[age("a", 2)]).await, [true]);
}

on_each_store!(
    what_is_told_hangs_on_its_cause,
    a_missed_rule_leaves_nothing_to_tell,
    an_event_with_a_key_is_told_once,
    events_come_in_pages_in_order,
    events_are_found_by_name,
    the_last_events_are_followed_by_what_comes,
    what_is_not_wanted_is_walked_past_a_bound_at_a_time,
    a_place_that_the_store_never_came_to_is_none,
    a_round_tells_too,
    deeds_come_newest_first_and_are_found_by_each_field,
    deeds_of_several_actions_are_those_of_one_moment,
    what_is_past_its_time_goes_a_bound_at_a_time,
);

/// A commit that began before others and becomes visible after them.
async fn late(
    store: &dyn Store,
    number: u64,
    events: &[Event],
) -> (Box<dyn jobplane::store::Round>, Batch) {
    let kind = format!("late{number}");
    let spec = JobSpec { job_type: job_type(&kind), ..spec() };
    given(store, vec![born(number, spec, at(0))]).await;
    let probe = Probe { queue: queue("default"), job_type: job_type(&kind), limit: 1, cap: None };
    let round = round(store, &[probe], at(1)).await;
    let write = decide(&round.candidates()[0], start(1), at(1)).expect("it may start");
    let mut batch = Batch { writes: vec![write], ..batch(at(1)) };
    for event in events {
        batch.tell(Cause::Write(0), event.clone());
    }
    (round, batch)
}

async fn whoever_goes_on_misses_no_late_commit(store: &dyn Store) {
    for limit in [1, 2, 100] {
        let base = 1_000 * limit as u64;
        let numbered = |number: u64| event("sync", base + number);
        let start = page(store, from(EventsFrom::Last(0), 1)).await;
        let (first, first_batch) =
            late(store, base, &[numbered(1), numbered(2), numbered(3)]).await;
        let (second, second_batch) = late(store, base + 1, &[numbered(4), numbered(5)]).await;
        tell(store, &[numbered(6), numbered(7)]).await;
        let mut query = from(EventsFrom::After(start.cursor), limit);
        let mut read = Vec::new();
        let mut look = async |read: &mut Vec<Event>| {
            loop {
                let page = page(store, query.clone()).await;
                read.extend(page.events.into_iter().map(|stored| stored.event));
                query.from = EventsFrom::After(page.cursor);
                if !page.more || limit < 3 && read.len().is_multiple_of(3) {
                    break;
                }
            }
        };
        look(&mut read).await;
        assert!(!read.is_empty() && read.iter().all(|event| event.time > at(base + 5)));
        second.commit(second_batch).await.expect("a commit");
        tell(store, &[numbered(8)]).await;
        look(&mut read).await;
        first.commit(first_batch).await.expect("a commit");
        for _ in 0..9 {
            look(&mut read).await;
        }
        read.sort_by_key(|event| event.time);
        assert_eq!(read, (1..=8).map(numbered).collect::<Vec<_>>(), "{limit} a page");
    }
}

#[tokio::test]
async fn no_late_commit_of_servers_over_one_memory_is_missed() {
    whoever_goes_on_misses_no_late_commit(&MemoryStore::shared(Clock::new())).await;
}

#[tokio::test]
async fn no_late_commit_of_servers_over_one_database_is_missed() {
    let Some(database) = crate::world::postgres().await else { return };
    whoever_goes_on_misses_no_late_commit(&database.store).await;
    database.remove().await;
}

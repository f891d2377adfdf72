//! Reads of both stores, held against each other.

use std::collections::BTreeMap;
use std::time::Duration;

use jobplane::domain::logs::LogRow;
use jobplane::domain::retention::Terminal;
use jobplane::domain::stats::{Facet, slot_of};
use jobplane::domain::{JobFilter, StateKind};
use jobplane::store::{
    AuditQuery, Batch, ChangesSince, Committed, EndedLine, EndedQuery, EventQuery, EventsFrom,
    ListQuery, LogQuery, RuleKind, Standing, Store,
};

use crate::world::{at, job_id, job_type, process, queue, session_id};

use super::World;
use super::steps::{INSTANCES, SESSIONS, TYPES};

impl World<'_> {
    /// What was done since a place is the same, as far as both still know.
    pub(super) async fn compare_changes(&self) {
        for (model, store) in self.places.iter().rev().step_by(3).take(4) {
            let want = self.model.changes_since(model, 1_000).await.expect("changes");
            let found = self.store.changes_since(store, 1_000).await.expect("changes");
            match (want, found) {
                (
                    ChangesSince::Found { mut ids, mut removed, .. },
                    ChangesSince::Found { ids: mut ours, removed: mut gone, position, .. },
                ) => {
                    ids.sort();
                    ours.sort();
                    removed.sort_by_key(|removed| removed.id);
                    gone.sort_by_key(|removed| removed.id);
                    assert_eq!((ours, gone), (ids, removed));
                    assert!(position.covers(store));
                }
                (ChangesSince::TooOld, _) | (_, ChangesSince::TooOld) => {}
                (want, found) => assert_eq!(found, want),
            }
        }
    }

    /// Events and the audit, in any order: that of one commit is up to the store.
    pub(super) async fn compare_told(&self) {
        let (model, store) = (&self.model as &dyn Store, self.store);
        for of in [Vec::new(), vec![job_type("backup")]] {
            let query =
                EventQuery { names: Vec::new(), types: of, from: EventsFrom::Oldest, limit: 1_000 };
            let told = async |store: &dyn Store| {
                let page = store.events(&query).await.expect("a read").expect("the oldest");
                let mut told: Vec<_> =
                    page.events.iter().map(|it| format!("{:?}", it.event)).collect();
                told.sort();
                (told, page.more)
            };
            assert_eq!(told(store).await, told(model).await);
        }
        for query in [
            AuditQuery::default(),
            AuditQuery { actor: Some("ann".to_owned()), ..AuditQuery::default() },
            AuditQuery { job_id: Some(job_id(1)), ..AuditQuery::default() },
        ] {
            let query = AuditQuery { limit: 1_000, ..query };
            let deeds = async |store: &dyn Store| {
                let deeds = store.audit(&query).await.expect("a read");
                let mut deeds: Vec<_> = deeds.iter().map(|it| format!("{:?}", it.event)).collect();
                deeds.sort();
                deeds
            };
            assert_eq!(deeds(store).await, deeds(model).await);
        }
    }

    /// Lines of what is over, by two pages each.
    pub(super) async fn compare_ended(&self) {
        let now = self.now();
        let mut lines: Vec<EndedLine> = [now, now.plus(Duration::from_secs(86_400))]
            .map(|before| EndedLine::OwnWord { before })
            .into();
        for name in TYPES {
            for state in Terminal::ALL {
                let job_type = job_type(name);
                let (from, before) = (at(5), now);
                let by_policy = EndedLine::ByPolicy { job_type: job_type.clone(), state, before };
                lines.extend([EndedLine::OfType { job_type, state, from, before }, by_policy]);
            }
        }
        for line in lines {
            let mut after = None;
            for _ in 0..2 {
                let query = EndedQuery { line: line.clone(), after, limit: 2 };
                let page = self.model.ended(&query).await.expect("a page");
                assert_eq!(self.store.ended(&query).await.expect("a page"), page, "{query:?}");
                after = page.next;
            }
        }
    }

    pub(super) async fn compare(&self) {
        self.compare_changes().await;
        let (model, store) = (&self.model, self.store);
        macro_rules! same {
            ($read:ident($($argument:expr),*)) => {{
                let want = model.$read($($argument),*).await.expect("a read");
                let found = store.$read($($argument),*).await.expect("a read");
                assert_eq!(found, want, "{}", stringify!($read($($argument),*)));
                want
            }};
            ($read:ident($($argument:expr),*) by $key:expr) => {{
                let mut want = model.$read($($argument),*).await.expect("a read");
                let mut found = store.$read($($argument),*).await.expect("a read");
                want.sort_by_key($key);
                found.sort_by_key($key);
                assert_eq!(found, want, "{}", stringify!($read($($argument),*)));
                want
            }};
        }
        let now = self.now();
        let jobs = same!(load(&self.known()) by |job| job.id);
        for id in self.known() {
            same!(attempts(id));
            let query = LogQuery { job_id: id, lease_epoch: None, from_position: 0, limit: 1_000 };
            let want = placed(model.logs(&query).await.expect("logs"));
            assert_eq!(placed(store.logs(&query).await.expect("logs")), want, "logs of {id}");
        }
        for filter in filters() {
            same!(count(&filter, 7));
            for full in [true, false] {
                let query = ListQuery { filter: filter.clone(), before: None, limit: 6, full };
                let page = same!(list(&query));
                let next = ListQuery { before: page.last().map(|job| job.id), ..query };
                same!(list(&next));
            }
        }
        same!(due(now, 1_000) by |id| *id);
        self.compare_told().await;
        same!(next_deadline());
        same!(rules(&RuleKind::ALL));
        same!(expired_sessions(now, 3));
        same!(orphans(1_000) by |orphan| orphan.job_id);
        let sessions: Vec<_> = (0..SESSIONS).map(session_id).collect();
        same!(held(&sessions) by |job| job.id);
        same!(sessions(at(self.seconds.saturating_sub(30))));
        for id in sessions {
            same!(session(id));
        }
        for instance in INSTANCES {
            same!(sessions_of(&process(instance), "tester"));
        }
        for key in 0..4 {
            same!(request("tester", &format!("request {key}")));
        }
        for name in TYPES {
            for state in [None, Some(StateKind::Failed), Some(StateKind::Cancelled)] {
                same!(recent(&job_type(name), state, 3));
            }
        }
        self.compare_ended().await;
        for name in TYPES {
            same!(newest(&job_type(name), 3));
        }
        same!(oldest_pending(now) by Clone::clone);
        same!(buckets(0));
        same!(buckets(at(self.seconds.saturating_sub(90)).minute()));
        let owner = Facet::Owner("me".to_owned());
        let label = |value: &str| Facet::Label { key: "kind".to_owned(), value: value.to_owned() };
        for facet in [owner, label("1"), label("2"), label("none")] {
            same!(facet(&facet, slot_of(at(0).minute())));
            same!(facet(&facet, slot_of(now.minute())));
        }
        for filter in filters() {
            same!(census(&filter, now, 5));
            same!(census(&filter, now, 1_000));
        }
        let counts = same!(counts() by |count| (count.key.clone(), count.state));
        let mut recount = BTreeMap::new();
        for job in jobs {
            let key =
                (job.spec.job_type.clone(), job.status.effective.queue.clone(), job.status.kind());
            *recount.entry(key).or_insert(0) += 1;
        }
        let stored: BTreeMap<_, _> = counts
            .into_iter()
            .filter(|count| count.stored != 0)
            .map(|count| ((count.key.job_type, count.key.queue, count.state), count.stored))
            .collect();
        assert_eq!(stored, recount, "counters equal a recount");
    }
}

/// Where in its log a store puts a commit is up to it, and how others hear of it.
pub(super) fn assert_same(found: &Committed, want: &Committed, batch: &Batch) {
    let placeless =
        |committed: &Committed| Committed { position: None, told: false, ..committed.clone() };
    assert_eq!(placeless(found), placeless(want), "{batch:#?}");
    // Progress alone may be left out of the log: written twice, it is the same.
    let progress_alone = Batch { progress: Vec::new(), ..batch.clone() }.is_empty();
    assert!(progress_alone || found.position.is_some() == want.position.is_some());
}

/// Places increase; which ones they are is up to the store.
pub(super) fn placed(mut rows: Vec<LogRow>) -> Vec<LogRow> {
    assert!(rows.is_sorted_by(|one, next| one.position < next.position));
    for (place, row) in (0..).zip(&mut rows) {
        row.position = place;
    }
    rows
}

pub(super) fn filters() -> Vec<JobFilter> {
    let none = JobFilter::default;
    vec![
        none(),
        JobFilter { states: vec![StateKind::Pending], ..none() },
        JobFilter { states: vec![StateKind::Running, StateKind::Pending], ..none() },
        JobFilter { states: vec![StateKind::Failed, StateKind::Cancelled], ..none() },
        JobFilter { states: vec![StateKind::Succeeded], types: vec![job_type("sync")], ..none() },
        JobFilter { labels: [("kind".to_owned(), "2".to_owned())].into(), ..none() },
        JobFilter { owner: Some("me".to_owned()), queues: vec![queue("bulk")], ..none() },
    ]
}

/// What is counted, without what is counted as none.
pub(super) fn some(standing: &Standing) -> Standing {
    let mut some = standing.clone();
    some.queues.retain(|_, running| *running > 0);
    some.types.retain(|_, running| *running > 0);
    some.values.retain(|_, running| *running > 0);
    some
}

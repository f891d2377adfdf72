use sqlx::AssertSqlSafe;

use super::*;
use crate::domain::stats::Changes;
use crate::domain::{BatchId, JobSpec, SkipReason, Timestamp, Trigger, machine};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Batch, NewJob, Store as _};

/// How SQLite walks the page of `filter`, and whether it sorts what it found.
async fn plan(store: &SqliteStore, filter: JobFilter, few: bool) -> (String, bool) {
    let before = Some(JobId(uuid::Uuid::nil()));
    let query = ListQuery { filter, before, limit: 20, full: true };
    let explain = format!("EXPLAIN QUERY PLAN {}", page(&query, few).sql().as_str());
    let lines: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(AssertSqlSafe(explain)).fetch_all(store.readers()).await.unwrap();
    let lines: Vec<_> = lines.into_iter().map(|(_, _, _, line)| line).collect();
    let inner = lines.iter().take_while(|line| *line != "SCAN n");
    let sorts = inner.into_iter().any(|line| line.contains("TEMP B-TREE"));
    (lines.join("\n"), sorts)
}

#[tokio::test]
async fn each_filter_walks_the_index_that_fits_it() {
    const DONE: &str = "job_status_done (job_type=? AND state=? AND id<?)";
    const NEWEST: &str = "SEARCH j USING COVERING INDEX sqlite_autoindex_jobs_1 (id<?)";
    /// With the row, which tells the type: the server's own jobs are left out.
    const NEWEST_ROWS: &str = "SEARCH j USING INDEX sqlite_autoindex_jobs_1 (id<?)";
    const READY: &str = "job_status_ready (queue=?";
    const RUNNING: &str = "SCAN s USING INDEX job_status_running";
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("jobs.db").display().to_string();
    let store = SqliteStore::open(Options { url, read_pool: 1 }).await.unwrap();
    let none = JobFilter::default;
    let text = || Some("me".to_owned());
    let types = || vec![JobType::new("sync").unwrap()];
    let states = |states: &[StateKind]| JobFilter { states: states.to_vec(), ..none() };
    let failed = [StateKind::Failed, StateKind::Cancelled];
    let labels = [("a".to_owned(), "b".to_owned())].into();
    for (filter, few, walks, sorts) in [
        (none(), false, vec![NEWEST_ROWS], false),
        (JobFilter { types: types(), ..none() }, false, vec![NEWEST], false),
        (
            JobFilter { owner: text(), ..none() },
            false,
            vec!["jobs_owner (owner=? AND id<?)"],
            false,
        ),
        (
            JobFilter { subject: text(), ..none() },
            false,
            vec!["jobs_subject (subject=? AND id<?)"],
            false,
        ),
        (
            JobFilter { external_id: text(), owner: text(), ..none() },
            true,
            vec!["jobs_external_id (external_id=? AND id<?)"],
            false,
        ),
        (
            JobFilter { labels, ..states(&failed) },
            true,
            vec!["SEARCH l USING PRIMARY KEY (key=? AND value=? AND job_id<?)"],
            false,
        ),
        (states(&failed), false, vec![NEWEST], false),
        (states(&failed), true, vec![DONE], true),
        (states(&[StateKind::Running]), true, vec![RUNNING], true),
        (
            JobFilter { queues: vec![QueueName::default()], ..states(&[StateKind::Pending]) },
            true,
            vec![READY],
            true,
        ),
        (JobFilter { types: types(), ..none() }, true, vec![READY, RUNNING, DONE], true),
    ] {
        let (plan, sorted) = plan(&store, filter.clone(), few).await;
        assert!(walks.iter().all(|walk| plan.contains(walk)), "{filter:?}\n{plan}");
        assert_eq!(sorted, sorts, "{filter:?}\n{plan}");
    }
}

#[tokio::test]
async fn few_or_many_the_page_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("jobs.db").display().to_string();
    let store = SqliteStore::open(Options { url, read_pool: 1 }).await.unwrap();
    let mut batch = Batch::new(BatchId(uuid::Uuid::from_u128(1)), Timestamp::default());
    for number in 0..30_u32 {
        let queue = QueueName::new(["default", "bulk"][usize::from(number % 3 == 0)]).unwrap();
        let job_type = JobType::new(["sync", "backup"][usize::from(number % 4 == 0)]).unwrap();
        let spec = JobSpec::new(job_type, queue);
        let birth = machine::Birth {
            created_by: String::new(),
            trigger: Trigger::Api,
            category: None,
            skipped: (number % 2 == 0).then_some(SkipReason::Overlap),
        };
        let status = machine::create(&spec, birth, Timestamp::default());
        let id = JobId(uuid::Uuid::from_u128(number.into()));
        let job = Job { id, spec: spec.into(), status };
        batch.creates.push(NewJob {
            job,
            request: None,
            fire: None,
            session: None,
            changes: Changes::default(),
        });
    }
    store.commit(batch).await.unwrap();
    let states = [vec![], vec![StateKind::Pending], vec![StateKind::Running, StateKind::Skipped]];
    let types = [vec![], vec![JobType::new("backup").unwrap()]];
    let queues = [vec![], vec![QueueName::new("bulk").unwrap()]];
    for states in states {
        for types in &types {
            for queues in &queues {
                let filter = JobFilter {
                    states: states.clone(),
                    types: types.clone(),
                    queues: queues.clone(),
                    ..JobFilter::default()
                };
                let before = Some(JobId(uuid::Uuid::from_u128(25)));
                let query = ListQuery { filter, before, limit: 4, full: false };
                let mut pages = Vec::new();
                for few in [true, false] {
                    let rows = page(&query, few).build_query_as().fetch_all(store.readers()).await;
                    pages.push(read::jobs(rows.unwrap()).unwrap());
                }
                assert_eq!(pages[0], pages[1], "{query:?}");
            }
        }
    }
}

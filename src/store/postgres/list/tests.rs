use sqlx::{AssertSqlSafe, Execute as _, Executor as _};

use super::*;
use crate::store::Store as _;
use crate::store::postgres::{LeaseClock, Listen, Options, PostgresStore};

#[path = "../../../../tests/cluster/mod.rs"]
mod cluster;

/// Mostly old and ended, as jobs are; one in 30 waits, one in 1,000 runs.
const JOBS: &str = "
    INSERT INTO jobs SELECT ('0197' || lpad(to_hex(n), 28, '0'))::uuid, 'type' || n % 10, 'queue' || n % 3,
        'owner' || n % 500, 'subject' || n % 5000, 'external' || n, 'me', 0, NULL, n, '{}', '', NULL
        FROM generate_series(1, 30000) AS n;
    INSERT INTO job_labels SELECT 'zone', 'z' || n % 100, ('0197' || lpad(to_hex(n), 28, '0'))::uuid
        FROM generate_series(1, 30000) AS n;
    INSERT INTO job_status SELECT id, job_type, queue,
        CASE WHEN n > 29000 THEN 0 WHEN n % 1000 = 7 THEN 1 WHEN n % 20 = 3 THEN 3 ELSE 2 END,
        1, 1, CASE WHEN n > 29000 THEN n END, n,
        CASE WHEN n <= 29000 AND n % 1000 = 7 THEN gen_random_uuid() END, NULL, NULL,
        CASE WHEN n <= 29000 AND n % 1000 <> 7 THEN n END, n, '', NULL
        FROM (SELECT *, create_time AS n FROM jobs) AS j;
    INSERT INTO stat_totals SELECT job_type, queue, state, count(*), 0 FROM job_status GROUP BY 1, 2, 3;
    ANALYZE";

/// How PostgreSQL walks the page of `filter`.
async fn plan(pool: &Pool, filter: JobFilter, few: bool) -> String {
    let before = Some(JobId(Uuid::from_u128(0x0198 << 112)));
    let query = ListQuery { filter, before, limit: 20, full: true };
    let mut page = page(&query, few);
    let mut page = page.build();
    let arguments = page.take_arguments().unwrap().unwrap_or_default();
    let explain = AssertSqlSafe(format!("EXPLAIN {}", page.sql().as_str()));
    let mut link = pool.read().await.unwrap();
    // The tables of a test are so small that reading them whole would not cost much.
    link.execute("SET enable_seqscan = off").await.unwrap();
    let lines = sqlx::query_scalar_with::<_, String, _>(explain, arguments).persistent(false);
    let lines = lines.fetch_all(&mut *link).await.unwrap();
    link.done().await.unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn each_filter_walks_the_index_that_fits_it() {
    const ENDED: &str = "job_status_ended";
    const DONE: &str = "job_status_done";
    const NEWEST: &str = "Backward using";
    const READY: &str = "job_status_ready";
    const RUNNING: &str = "job_status_running";
    let Some(cluster) = cluster::shared() else { return };
    let url = cluster.url(&cluster.create(None).await);
    let options = Options {
        url: url.clone(),
        listen: Listen::Never,
        clock: LeaseClock::Caller,
        // All rows are made by one statement.
        statement_timeout: std::time::Duration::from_secs(60),
        ..Options::default()
    };
    let store = PostgresStore::open(options).await.unwrap();
    let mut link = store.readers.read().await.unwrap();
    link.execute(sqlx::raw_sql(JOBS)).await.unwrap();
    link.done().await.unwrap();
    let none = JobFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let types = || vec![JobType::new("type3").unwrap()];
    let states = |states: &[StateKind]| JobFilter { states: states.to_vec(), ..none() };
    let failed = [StateKind::Failed, StateKind::Cancelled];
    let labels = [("zone".to_owned(), "z5".to_owned())].into();
    for (filter, few, walks, gathers) in [
        (none(), false, vec![NEWEST], false),
        (JobFilter { types: types(), ..none() }, false, vec![NEWEST], false),
        (JobFilter { owner: text("owner7"), ..none() }, false, vec!["jobs_owner"], false),
        (JobFilter { subject: text("subject7"), ..none() }, false, vec!["jobs_subject"], false),
        (
            JobFilter { external_id: text("external7"), owner: text("owner7"), ..none() },
            true,
            vec!["jobs_external_id"],
            false,
        ),
        (JobFilter { labels, ..states(&failed) }, true, vec!["job_labels_pkey"], false),
        (JobFilter { job_ids: vec![JobId(Uuid::nil())], ..none() }, true, vec!["_pkey"], false),
        (states(&failed), false, vec![NEWEST], false),
        (states(&failed), true, vec![DONE], true),
        (states(&[StateKind::Running]), true, vec![RUNNING], true),
        (
            JobFilter {
                queues: vec![QueueName::new("queue1").unwrap()],
                ..states(&[StateKind::Pending])
            },
            true,
            vec![READY],
            true,
        ),
        (
            JobFilter {
                types: types(),
                ..states(&[StateKind::Pending, StateKind::Running, StateKind::Failed])
            },
            true,
            vec![READY, RUNNING, DONE],
            true,
        ),
    ] {
        let plan = plan(&store.readers, filter.clone(), few).await;
        // Both begin with the type and the state: for a list they are as good as each other.
        let walked = |walk: &&str| plan.contains(walk) || (*walk == DONE && plan.contains(ENDED));
        assert!(walks.iter().all(walked), "{filter:?}\n{plan}");
        assert_eq!(plan.contains("CTE found"), gathers, "{filter:?}\n{plan}");
    }
    store.close().await;
}

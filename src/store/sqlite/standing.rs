//! How what is claimed stands, read beside the writer.

use std::collections::BTreeMap;

use sqlx::SqlitePool;

use crate::domain::{JobType, QueueName};
use crate::store::rows::{job_type, queue};
use crate::store::{Claims, Result, Standing};

use super::error::from_sqlx;
use super::input::Rows;
use super::rules;
use super::script::{Answers, Place, Script};

pub(super) const STATEMENTS: &[&str] = &[ALL, IN_QUEUES, OF_TYPES, UNDER];

/// Walks the partial index alone.
const ALL: &str = "SELECT coalesce(sum(stored), 0) FROM stat_totals \
    INDEXED BY stat_totals_running WHERE state = 1";

const IN_QUEUES: &str = "SELECT t.queue, sum(t.stored) FROM jsonb_each(?1) AS e \
    CROSS JOIN stat_totals AS t INDEXED BY stat_totals_running ON t.queue = e.value ->> 0 \
    WHERE t.state = 1 GROUP BY t.queue";

const OF_TYPES: &str = "SELECT t.job_type, sum(t.stored) FROM jsonb_each(?1) AS e \
    CROSS JOIN stat_totals AS t ON t.job_type = e.value ->> 0 \
    WHERE t.state = 1 GROUP BY t.job_type";

const UNDER: &str = "SELECT e.value ->> 0, e.value ->> 1, (SELECT count(*) FROM job_status AS s \
    INDEXED BY job_status_key WHERE s.state = 1 AND s.concurrency_key IS NOT NULL \
    AND s.job_type = e.value ->> 0 AND s.concurrency_key = e.value ->> 1) FROM jsonb_each(?1) AS e";

/// Where the answers stand in a script.
#[derive(Default)]
struct Asked {
    rules: Option<Place>,
    all: Option<Place>,
    queues: Option<Place>,
    types: Option<Place>,
    values: Option<Place>,
}

/// Asks for what is claimed.
fn ask(script: &mut Script, claims: &Claims) -> Asked {
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let mut rows = Rows::default();
        for name in names {
            rows.row().text(name);
        }
        rows
    };
    let mut values = Rows::default();
    for (job_type, value) in &claims.values {
        values.row().text(job_type.as_str()).text(value);
    }
    let queues = names(&mut claims.queues.iter().map(QueueName::as_str));
    let types = names(&mut claims.types.iter().map(JobType::as_str));
    Asked {
        rules: rules::ask_for(script, claims.keys.union(&claims.rules)),
        all: claims.running.then(|| script.add(ALL)),
        queues: script.add_rows(IN_QUEUES, queues),
        types: script.add_rows(OF_TYPES, types),
        values: script.add_rows(UNDER, values),
    }
}

/// What was asked for.
fn answer(asked: &Asked, answers: &mut Answers) -> Result<Standing> {
    let mut standing = Standing::default();
    if let Some(place) = asked.rules {
        let found = rules::found(answers.rows(place)?)?;
        standing.rules = found.into_iter().map(|rule| (rule.key.clone(), rule)).collect();
    }
    if let Some(place) = asked.all {
        let sums: Vec<(i64,)> = answers.rows(place)?;
        standing.running = sums.first().map_or(0, |(sum,)| positive(*sum));
    }
    if let Some(place) = asked.queues {
        for (name, sum) in answers.rows::<(String, i64)>(place)? {
            standing.queues.insert(queue("stat_totals.queue", &name)?, positive(sum));
        }
    }
    if let Some(place) = asked.types {
        for (name, sum) in answers.rows::<(String, i64)>(place)? {
            standing.types.insert(job_type("stat_totals.job_type", &name)?, positive(sum));
        }
    }
    if let Some(place) = asked.values {
        standing.values = under(answers.rows(place)?)?;
    }
    Ok(standing)
}

/// Types with a value, and how many run under it.
type Under = Vec<(String, String, i64)>;

fn under(rows: Under) -> Result<BTreeMap<(JobType, String), u64>> {
    let key = |(name, value, running): (String, String, i64)| {
        let job_type = job_type("job_status.job_type", &name)?;
        Ok((running > 0).then(|| ((job_type, value), positive(running))))
    };
    rows.into_iter().filter_map(|row| key(row).transpose()).collect()
}

fn positive(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

/// How what is claimed stands.
pub(super) async fn read(readers: &SqlitePool, claims: &Claims) -> Result<Standing> {
    let mut script = Script::default();
    let asked = ask(&mut script, claims);
    if script.len() == 0 {
        return Ok(Standing::default());
    }
    let mut connection = readers.acquire().await.map_err(from_sqlx)?;
    let answers = script.run(&mut connection, None).await;
    answer(&asked, &mut answers.map_err(|stopped| from_sqlx(stopped.error))?)
}

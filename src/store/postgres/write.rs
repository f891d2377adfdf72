//! The statement that writes a batch: guards, names, and all that follows, in one.
//!
//! Its parts see the tables as they were when it began, and none sees what another wrote; what would
//! differ by that is sorted out in [`input`]. It writes all or nothing: if a guard misses or a name is
//! known to be taken it answers so; if somebody takes a name in that very moment it fails.

mod input;

use crate::domain::Position;
use crate::store::passed::{Passed, first_deletes};
use crate::store::{Batch, Committed, Result};

use super::bound::Bound;
use super::changes::{self, here, transaction};
use super::error::code;
use super::pool::Link;

use self::input::Input;
pub(super) use self::input::{Guards, Names, flush};

pub(super) const STATEMENTS: &[&str] = &[WRITE, input::FLUSH];

const WRITE: &str = concat!(
    "WITH passed AS MATERIALIZED (SELECT s.id \
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bool[]) \
    AS g(id, revision, epoch, running) JOIN job_status AS s ON s.id = g.id \
    WHERE s.revision = coalesce(g.revision, s.revision) \
    AND s.lease_epoch = coalesce(g.epoch, s.lease_epoch) AND (NOT g.running OR s.state = 1) \
    ORDER BY s.id FOR UPDATE OF s), \
    wanted AS MATERIALIZED (SELECT * FROM unnest($5::smallint[], $6::text[], $7::text[], \
    $8::uuid[], $9::bytea[], $10::bigint[]) \
    WITH ORDINALITY AS w(kind, scope, key, job_id, fingerprint, create_time, place)), \
    checked AS MATERIALIZED (SELECT (SELECT count(*) FROM passed) = cardinality($1) \
    AND NOT EXISTS (SELECT 1 FROM wanted AS w JOIN job_keys AS k \
    ON k.kind = w.kind AND k.scope = w.scope AND k.key = w.key) AS ok), \
    taken AS (INSERT INTO job_keys (kind, scope, key, job_id, fingerprint, create_time) \
    SELECT kind, scope, key, job_id, fingerprint, create_time FROM wanted \
    WHERE (SELECT ok FROM checked) ORDER BY place ON CONFLICT DO NOTHING RETURNING 1), \
    born AS (INSERT INTO jobs (id, job_type, queue, owner, subject, external_id, created_by, \
    trigger, category, create_time, labels, spec, payload) \
    SELECT j.id, j.job_type, j.queue, j.owner, j.subject, j.external_id, j.created_by, j.trigger, \
    j.category, j.create_time, j.labels::jsonb, j.spec, j.payload \
    FROM unnest($11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], \
    $17::text[], $18::smallint[], $19::text[], $20::bigint[], $21::text[], $22::bytea[], \
    $23::bytea[]) AS j(id, job_type, queue, owner, subject, external_id, created_by, trigger, \
    category, create_time, labels, spec, payload) WHERE (SELECT ok FROM checked)), \
    labelled AS (INSERT INTO job_labels (key, value, job_id) \
    SELECT l.key, l.value, l.job_id FROM unnest($24::text[], $25::text[], $26::uuid[]) \
    AS l(key, value, job_id) WHERE (SELECT ok FROM checked)), \
    statuses AS MATERIALIZED (SELECT * FROM unnest($27::uuid[], $28::text[], $29::text[], \
    $30::smallint[], $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[], $35::uuid[], \
    $36::text[], $37::bigint[], $38::bigint[], $39::bigint[], $40::bytea[], $41::bytea[], \
    $42::bool[], $87::text[]) AS u(id, job_type, queue, state, revision, lease_epoch, ready_key, \
    schedule_time, session_id, worker_id, clock_time, end_time, update_time, status, result, born, \
    concurrency_key)), \
    begun AS (INSERT INTO job_status (id, job_type, queue, state, revision, lease_epoch, \
    ready_key, schedule_time, session_id, worker_id, deadline, end_time, update_time, status, \
    result, purge_time, concurrency_key) SELECT id, job_type, queue, state, revision, lease_epoch, \
    ready_key, schedule_time, session_id, worker_id, CASE WHEN state < 2 THEN clock_time END, \
    end_time, update_time, status, result, CASE WHEN state >= 2 THEN clock_time END, \
    concurrency_key FROM statuses WHERE born AND (SELECT ok FROM checked)), \
    changed AS (UPDATE job_status AS s SET queue = u.queue, state = u.state, \
    revision = u.revision, lease_epoch = u.lease_epoch, ready_key = u.ready_key, \
    schedule_time = u.schedule_time, session_id = u.session_id, worker_id = u.worker_id, \
    deadline = CASE WHEN u.state < 2 THEN u.clock_time END, end_time = u.end_time, \
    update_time = u.update_time, status = u.status, result = u.result, \
    purge_time = CASE WHEN u.state >= 2 THEN u.clock_time END, \
    concurrency_key = u.concurrency_key FROM statuses AS u \
    WHERE s.id = u.id AND NOT u.born AND (SELECT ok FROM checked)), \
    closed AS (DELETE FROM job_progress WHERE id = ANY($43::uuid[]) \
    AND (SELECT ok FROM checked)), \
    flushed AS (INSERT INTO job_progress (id, lease_epoch, sequence, heard, data) \
    SELECT p.id, p.lease_epoch, p.sequence, p.heard, p.data FROM unnest($44::uuid[], $45::bigint[], \
    $46::bigint[], $47::bytea[], $48::bool[], $88::bigint[]) \
    AS p(id, lease_epoch, sequence, data, sure, heard) \
    LEFT JOIN job_status AS s ON s.id = p.id \
    WHERE (p.sure OR s.state = 1 AND s.lease_epoch = p.lease_epoch) \
    AND (SELECT ok FROM checked) ORDER BY p.id \
    ON CONFLICT (id) DO UPDATE SET lease_epoch = excluded.lease_epoch, \
    sequence = excluded.sequence, heard = excluded.heard, data = excluded.data \
    WHERE (excluded.lease_epoch, excluded.sequence, excluded.heard) \
    >= (job_progress.lease_epoch, job_progress.sequence, job_progress.heard)), \
    superseded AS (INSERT INTO job_attempts (job_id, lease_epoch, attempt) \
    SELECT a.job_id, a.lease_epoch, a.attempt \
    FROM unnest($49::uuid[], $50::bigint[], $51::bytea[]) \
    WITH ORDINALITY AS a(job_id, lease_epoch, attempt, place) \
    WHERE (SELECT ok FROM checked) ORDER BY a.place), \
    logged AS (INSERT INTO job_logs (job_id, lease_epoch, attempt, seq, line_count, dropped, \
    entries) SELECT l.job_id, l.lease_epoch, l.attempt, nullif(l.seq, 0), l.line_count, 0, \
    l.entries FROM unnest($52::uuid[], $53::bigint[], $54::bigint[], $55::bigint[], \
    $56::bigint[], $57::bytea[]) \
    WITH ORDINALITY AS l(job_id, lease_epoch, attempt, seq, line_count, entries, place) \
    WHERE (SELECT ok FROM checked) ORDER BY l.place ON CONFLICT DO NOTHING), \
    unlabelled AS (DELETE FROM job_labels AS l USING (SELECT j.id, e.key, e.value \
    FROM jobs AS j, jsonb_each_text(j.labels) AS e WHERE j.id = ANY($58::uuid[])) AS gone \
    WHERE l.key = gone.key AND l.value = gone.value AND l.job_id = gone.id \
    AND (SELECT ok FROM checked)), \
    gone AS (DELETE FROM jobs WHERE id = ANY($58) AND (SELECT ok FROM checked)), \
    over AS (DELETE FROM job_status WHERE id = ANY($58) AND (SELECT ok FROM checked)), \
    untold AS (DELETE FROM job_attempts WHERE job_id = ANY($58) AND (SELECT ok FROM checked)), \
    unlogged AS (DELETE FROM job_logs WHERE job_id = ANY($58) AND (SELECT ok FROM checked)), \
    released AS (DELETE FROM job_keys WHERE kind = 1 AND job_id = ANY($59::uuid[]) \
    AND (SELECT ok FROM checked)), \
    forgotten AS (DELETE FROM job_keys WHERE kind = 2 AND job_id = ANY($58) \
    AND (SELECT ok FROM checked)), \
    let_go AS (UPDATE job_keys SET job_gone = true WHERE kind = 0 AND job_id = ANY($58) \
    AND (SELECT ok FROM checked)), \
    counted AS (INSERT INTO stat_deltas (job_type, queue, state, stored, finished_total) \
    SELECT * FROM unnest($60::text[], $61::text[], $62::smallint[], $63::bigint[], $64::bigint[]) \
    WHERE (SELECT ok FROM checked)), \
    tallied AS (INSERT INTO stat_buckets (minute, job_type, queue, tally) \
    SELECT * FROM unnest($65::bigint[], $66::text[], $67::text[], $68::bytea[]) \
    WHERE (SELECT ok FROM checked)), \
    faceted AS (INSERT INTO stat_facet_deltas \
    SELECT f.* FROM jsonb_to_recordset($75::jsonb) AS f(key text, value text, slot bigint, \
    created bigint, succeeded bigint, failed bigint, cancelled bigint, skipped bigint, \
    started bigint, waited bigint, ended bigint, ran bigint) WHERE (SELECT ok FROM checked)), \
    noted AS (INSERT INTO changes (batch_id, time, job_ids, removed, ready, rules, transaction, next, \
    under_way) SELECT $69, $70, $71, $72::jsonb, $73::jsonb, $74::jsonb, ",
    transaction!(),
    ", ",
    here!(),
    " WHERE (SELECT ok FROM checked) RETURNING transaction), \
    told AS (INSERT INTO events (transaction, time, name, job_type, once, body) SELECT ",
    transaction!(),
    ", time, name, job_type, once, body FROM unnest($76::bigint[], $77::text[], $78::text[], \
    $79::text[], $80::bytea[]) WITH ORDINALITY AS e(time, name, job_type, once, body, place) \
    WHERE (SELECT ok FROM checked) ORDER BY once, place ON CONFLICT DO NOTHING RETURNING once), \
    recorded AS (INSERT INTO audit_events (time, actor, action, job_id, job_type, body) \
    SELECT time, actor, action, job_id, job_type, body FROM unnest($81::bigint[], $82::text[], \
    $83::text[], $84::uuid[], $85::text[], $86::bytea[]) \
    WITH ORDINALITY AS a(time, actor, action, job_id, job_type, body, place) \
    WHERE (SELECT ok FROM checked) ORDER BY place) \
    SELECT c.ok, 1 / (NOT c.ok OR (SELECT count(*) FROM taken) = cardinality($5))::int, \
    (SELECT transaction FROM noted), \
    (SELECT array_agg(once) FROM told WHERE once IS NOT NULL) FROM checked AS c"
);

/// What SQLSTATE says of the division above.
const NAME_TAKEN: &str = "22012";

/// What became of the statement.
pub(super) enum Outcome {
    /// Everything is written; of events with a key, these were not known.
    Written(Position, Option<Vec<String>>),
    /// A guard missed or a name is taken: nothing is written.
    Missed,
}

/// Whether somebody took a name in the very moment: nothing was written, and once more it is known.
pub(super) fn is_name_taken(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(NAME_TAKEN)
}

/// Writes what passed, if all guards and names still hold.
pub(super) async fn write(
    link: &mut Link,
    passed: &Passed<'_>,
    guards: &Guards,
    names: &Names<'_>,
) -> Result<sqlx::Result<Outcome>> {
    let input = Input::of(passed)?;
    let arguments = input.bind(names.bind(guards.bind(Bound::default()))).all()?;
    let query =
        link.query_as_with::<(bool, i32, Option<i64>, Option<Vec<String>>)>(WRITE, arguments);
    match query.fetch_one(&mut **link).await {
        Ok((true, _, Some(transaction), told)) => {
            Ok(Ok(Outcome::Written(changes::at(transaction)?, told)))
        }
        Ok(_) => Ok(Ok(Outcome::Missed)),
        Err(error) => Ok(Err(error)),
    }
}

/// A batch of which everything passes that can.
pub(super) fn all_of(batch: &Batch) -> Committed {
    use crate::store::{Appended, Written};
    Committed {
        creates: vec![Written::Done; batch.creates.len()],
        writes: vec![Written::Done; batch.writes.len()],
        deletes: first_deletes(batch).collect(),
        logs: vec![Appended::Done; batch.logs.len()],
        sessions: Vec::new(),
        events: Vec::new(),
        missed_rules: Vec::new(),
        position: None,
    }
}

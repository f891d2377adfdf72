//! The statement's text: its parts by name, put together for what a batch has.
//!
//! Each part that takes part costs a tenth of a millisecond to begin and to end, all of them together more than a
//! small batch itself. So there are a few texts, each with the parts that some kind of batch needs, and one with all.

use std::sync::LazyLock;

use super::super::changes::{here, transaction};
use crate::store::flushed::only_forward;

/// Parts of the statement that not every batch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parts(u16);

impl Parts {
    pub(super) const NAMES: Self = Self(1);
    pub(super) const BORN: Self = Self(1 << 1);
    pub(super) const LABELS: Self = Self(1 << 2);
    pub(super) const CHANGED: Self = Self(1 << 3);
    pub(super) const CLOSED: Self = Self(1 << 4);
    pub(super) const FLUSHED: Self = Self(1 << 5);
    pub(super) const HISTORY: Self = Self(1 << 6);
    pub(super) const GONE: Self = Self(1 << 7);
    pub(super) const RELEASED: Self = Self(1 << 8);
    pub(super) const FACETS: Self = Self(1 << 9);
    pub(super) const TOLD: Self = Self(1 << 10);
    pub(super) const ALL: Self = Self((1 << 11) - 1);

    /// These, if so.
    pub(super) const fn with(self, others: Self, so: bool) -> Self {
        if so { Self(self.0 | others.0) } else { self }
    }

    pub(super) const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What batches have: jobs that are made, jobs that start or end, both, and anything. The first that has all that is
/// needed is taken.
const KINDS: [Parts; 4] = [
    Parts::CHANGED.with(Parts::CLOSED, true),
    Parts::BORN,
    Parts::BORN.with(Parts::CHANGED, true).with(Parts::CLOSED, true),
    Parts::ALL,
];

/// A statement and its parts.
pub(super) struct Text {
    pub parts: Parts,
    pub sql: String,
}

static TEXTS: LazyLock<[Text; 4]> =
    LazyLock::new(|| KINDS.map(|parts| Text { parts, sql: assemble(parts) }));

/// The statement for a batch that needs these parts.
pub(super) fn text(needed: Parts) -> &'static Text {
    let [.., all] = &*TEXTS;
    TEXTS.iter().find(|text| text.parts.has(needed)).unwrap_or(all)
}

/// All of them.
pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|text| text.sql.as_str())
}

/// A piece of the statement with the number of its arguments, which are counted from the last one before it. One
/// without arguments of its own names those of the guards.
type Piece = (u32, &'static str);

/// $5 is what others are told, if this commit is to tell them.
const GUARDED: Piece = (
    5,
    "WITH passed AS MATERIALIZED (SELECT s.id \
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bool[]) \
    AS g(id, revision, epoch, running) JOIN job_status AS s ON s.id = g.id \
    WHERE s.revision = coalesce(g.revision, s.revision) \
    AND s.lease_epoch = coalesce(g.epoch, s.lease_epoch) AND (NOT g.running OR s.state = 1) \
    ORDER BY s.id FOR UPDATE OF s)",
);

const CHECKED: Piece =
    (0, ", checked AS MATERIALIZED (SELECT (SELECT count(*) FROM passed) = cardinality($1) AS ok)");

const NAMED: Piece = (
    6,
    ", wanted AS MATERIALIZED (SELECT * FROM unnest($1::smallint[], $2::text[], $3::text[], \
    $4::uuid[], $5::bytea[], $6::bigint[]) \
    WITH ORDINALITY AS w(kind, scope, key, job_id, fingerprint, create_time, place))",
);

const CHECKED_WITH_NAMES: Piece = (
    0,
    ", checked AS MATERIALIZED (SELECT (SELECT count(*) FROM passed) = cardinality($1) \
    AND NOT EXISTS (SELECT 1 FROM wanted AS w JOIN job_keys AS k \
    ON k.kind = w.kind AND k.scope = w.scope AND k.key = w.key) AS ok), \
    taken AS (INSERT INTO job_keys (kind, scope, key, job_id, fingerprint, create_time) \
    SELECT kind, scope, key, job_id, fingerprint, create_time FROM wanted \
    WHERE (SELECT ok FROM checked) ORDER BY place ON CONFLICT DO NOTHING RETURNING 1)",
);

const BORN: Piece = (
    13,
    ", born AS (INSERT INTO jobs (id, job_type, queue, owner, subject, external_id, created_by, \
    trigger, category, create_time, labels, spec, payload) \
    SELECT j.id, j.job_type, j.queue, j.owner, j.subject, j.external_id, j.created_by, j.trigger, \
    j.category, j.create_time, j.labels::jsonb, j.spec, j.payload \
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
    $7::text[], $8::smallint[], $9::text[], $10::bigint[], $11::text[], $12::bytea[], \
    $13::bytea[]) AS j(id, job_type, queue, owner, subject, external_id, created_by, trigger, \
    category, create_time, labels, spec, payload) WHERE (SELECT ok FROM checked))",
);

const LABELLED: Piece = (
    3,
    ", labelled AS (INSERT INTO job_labels (key, value, job_id) \
    SELECT l.key, l.value, l.job_id FROM unnest($1::text[], $2::text[], $3::uuid[]) \
    AS l(key, value, job_id) WHERE (SELECT ok FROM checked))",
);

const STATUSES: Piece = (
    17,
    ", statuses AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], \
    $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::uuid[], \
    $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], $15::bytea[], \
    $16::bool[], $17::text[]) AS u(id, job_type, queue, state, revision, lease_epoch, ready_key, \
    schedule_time, session_id, worker_id, clock_time, end_time, update_time, status, result, born, \
    concurrency_key))",
);

const BEGUN: Piece = (
    0,
    ", begun AS (INSERT INTO job_status (id, job_type, queue, state, revision, lease_epoch, \
    ready_key, schedule_time, session_id, worker_id, deadline, end_time, update_time, status, \
    result, purge_time, concurrency_key) SELECT id, job_type, queue, state, revision, lease_epoch, \
    ready_key, schedule_time, session_id, worker_id, CASE WHEN state < 2 THEN clock_time END, \
    end_time, update_time, status, result, CASE WHEN state >= 2 THEN clock_time END, \
    concurrency_key FROM statuses WHERE born AND (SELECT ok FROM checked))",
);

const CHANGED: Piece = (
    0,
    ", changed AS (UPDATE job_status AS s SET queue = u.queue, state = u.state, \
    revision = u.revision, lease_epoch = u.lease_epoch, ready_key = u.ready_key, \
    schedule_time = u.schedule_time, session_id = u.session_id, worker_id = u.worker_id, \
    deadline = CASE WHEN u.state < 2 THEN u.clock_time END, end_time = u.end_time, \
    update_time = u.update_time, status = u.status, result = u.result, \
    purge_time = CASE WHEN u.state >= 2 THEN u.clock_time END, \
    concurrency_key = u.concurrency_key FROM statuses AS u \
    WHERE s.id = u.id AND NOT u.born AND (SELECT ok FROM checked))",
);

const CLOSED: Piece = (
    1,
    ", closed AS (DELETE FROM job_progress WHERE id = ANY($1::uuid[]) \
    AND (SELECT ok FROM checked))",
);

const FLUSHED: Piece = (
    7,
    concat!(
        ", flushed AS (INSERT INTO job_progress (id, lease_epoch, sequence, data, active, used) \
        SELECT p.id, p.lease_epoch, p.sequence, p.data, p.active, p.used \
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], \
        $7::bool[]) AS p(id, lease_epoch, sequence, data, active, used, sure) \
        LEFT JOIN job_status AS s ON s.id = p.id \
        WHERE (p.sure OR s.state = 1 AND s.lease_epoch = p.lease_epoch) \
        AND (SELECT ok FROM checked) ORDER BY p.id ",
        only_forward!(),
        ")"
    ),
);

const HISTORY: Piece = (
    9,
    ", superseded AS (INSERT INTO job_attempts (job_id, lease_epoch, attempt) \
    SELECT a.job_id, a.lease_epoch, a.attempt \
    FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) \
    WITH ORDINALITY AS a(job_id, lease_epoch, attempt, place) \
    WHERE (SELECT ok FROM checked) ORDER BY a.place), \
    logged AS (INSERT INTO job_logs (job_id, lease_epoch, attempt, seq, line_count, dropped, \
    entries) SELECT l.job_id, l.lease_epoch, l.attempt, nullif(l.seq, 0), l.line_count, 0, \
    l.entries FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], \
    $8::bigint[], $9::bytea[]) \
    WITH ORDINALITY AS l(job_id, lease_epoch, attempt, seq, line_count, entries, place) \
    WHERE (SELECT ok FROM checked) ORDER BY l.place ON CONFLICT DO NOTHING)",
);

const GONE: Piece = (
    1,
    ", unlabelled AS (DELETE FROM job_labels AS l USING (SELECT j.id, e.key, e.value \
    FROM jobs AS j, jsonb_each_text(j.labels) AS e WHERE j.id = ANY($1::uuid[])) AS gone \
    WHERE l.key = gone.key AND l.value = gone.value AND l.job_id = gone.id \
    AND (SELECT ok FROM checked)), \
    gone AS (DELETE FROM jobs WHERE id = ANY($1) AND (SELECT ok FROM checked)), \
    over AS (DELETE FROM job_status WHERE id = ANY($1) AND (SELECT ok FROM checked)), \
    untold AS (DELETE FROM job_attempts WHERE job_id = ANY($1) AND (SELECT ok FROM checked)), \
    unlogged AS (DELETE FROM job_logs WHERE job_id = ANY($1) AND (SELECT ok FROM checked)), \
    forgotten AS (DELETE FROM job_keys WHERE kind = 2 AND job_id = ANY($1) \
    AND (SELECT ok FROM checked)), \
    let_go AS (UPDATE job_keys SET job_gone = true WHERE kind = 0 AND job_id = ANY($1) \
    AND (SELECT ok FROM checked))",
);

const RELEASED: Piece = (
    1,
    ", released AS (DELETE FROM job_keys WHERE kind = 1 AND job_id = ANY($1::uuid[]) \
    AND (SELECT ok FROM checked))",
);

const COUNTED: Piece = (
    9,
    ", counted AS (INSERT INTO stat_deltas (job_type, queue, state, stored, finished_total) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::bigint[]) \
    WHERE (SELECT ok FROM checked)), \
    tallied AS (INSERT INTO stat_buckets (minute, job_type, queue, tally) \
    SELECT * FROM unnest($6::bigint[], $7::text[], $8::text[], $9::bytea[]) \
    WHERE (SELECT ok FROM checked))",
);

const FACETED: Piece = (
    1,
    ", faceted AS (INSERT INTO stat_facet_deltas \
    SELECT f.* FROM jsonb_to_recordset($1::jsonb) AS f(key text, value text, slot bigint, \
    created bigint, succeeded bigint, failed bigint, cancelled bigint, skipped bigint, \
    started bigint, waited bigint, ended bigint, ran bigint) WHERE (SELECT ok FROM checked))",
);

const NOTED: Piece = (
    6,
    concat!(
        ", noted AS (INSERT INTO changes (batch_id, time, job_ids, removed, ready, rules, \
        transaction, next, under_way) SELECT $1, $2, $3, $4::jsonb, $5::jsonb, $6::jsonb, ",
        transaction!(),
        ", ",
        here!(),
        " WHERE (SELECT ok FROM checked) RETURNING transaction)"
    ),
);

const TOLD: Piece = (
    11,
    concat!(
        ", told AS (INSERT INTO events (transaction, time, name, job_type, once, body) SELECT ",
        transaction!(),
        ", time, name, job_type, once, body FROM unnest($1::bigint[], $2::text[], $3::text[], \
        $4::text[], $5::bytea[]) WITH ORDINALITY AS e(time, name, job_type, once, body, place) \
        WHERE (SELECT ok FROM checked) ORDER BY once, place ON CONFLICT DO NOTHING \
        RETURNING once), \
        recorded AS (INSERT INTO audit_events (time, actor, action, job_id, job_type, body) \
        SELECT time, actor, action, job_id, job_type, body FROM unnest($6::bigint[], $7::text[], \
        $8::text[], $9::uuid[], $10::text[], $11::bytea[]) \
        WITH ORDINALITY AS a(time, actor, action, job_id, job_type, body, place) \
        WHERE (SELECT ok FROM checked) ORDER BY place)"
    ),
);

/// Whether all is written; a division by zero if somebody took a name meanwhile.
const ANSWER: Piece = (0, " SELECT c.ok, 1, ");

const ANSWER_WITH_NAMES: Piece = (
    0,
    " SELECT c.ok, 1 / (NOT c.ok OR (SELECT count(*) FROM taken) \
    = (SELECT count(*) FROM wanted))::int, ",
);

const NEW: Piece = (0, "(SELECT array_agg(once) FROM told WHERE once IS NOT NULL), ");

const NONE_NEW: Piece = (0, "NULL::text[], ");

/// The last column says nothing: it tells others, once all of it is committed.
const HINT: Piece = (
    0,
    "(SELECT transaction FROM noted), \
    (SELECT pg_notify('jobplane', $5) WHERE c.ok AND $5::text IS NOT NULL) FROM checked AS c",
);

fn pieces(parts: Parts) -> impl Iterator<Item = &'static Piece> {
    let one = |wanted: Parts, piece: &'static Piece| parts.has(wanted).then_some(piece);
    let either = |wanted: Parts, piece: &'static Piece, otherwise: &'static Piece| {
        Some(if parts.has(wanted) { piece } else { otherwise })
    };
    [
        Some(&GUARDED),
        one(Parts::NAMES, &NAMED),
        either(Parts::NAMES, &CHECKED_WITH_NAMES, &CHECKED),
        one(Parts::BORN, &BORN),
        one(Parts::LABELS, &LABELLED),
        Some(&STATUSES),
        one(Parts::BORN, &BEGUN),
        one(Parts::CHANGED, &CHANGED),
        one(Parts::CLOSED, &CLOSED),
        one(Parts::FLUSHED, &FLUSHED),
        one(Parts::HISTORY, &HISTORY),
        one(Parts::GONE, &GONE),
        one(Parts::RELEASED, &RELEASED),
        Some(&COUNTED),
        one(Parts::FACETS, &FACETED),
        Some(&NOTED),
        one(Parts::TOLD, &TOLD),
        either(Parts::NAMES, &ANSWER_WITH_NAMES, &ANSWER),
        either(Parts::TOLD, &NEW, &NONE_NEW),
        Some(&HINT),
    ]
    .into_iter()
    .flatten()
}

fn assemble(parts: Parts) -> String {
    let (mut sql, mut bound) = (String::new(), 0);
    for (arguments, text) in pieces(parts) {
        push(&mut sql, text, if *arguments == 0 { 0 } else { bound });
        bound += arguments;
    }
    sql
}

/// Adds a piece, with so many arguments before its own.
fn push(sql: &mut String, text: &str, before: u32) {
    let mut rest = text;
    while let Some((plain, numbered)) = rest.split_once('$') {
        let digits = numbered.find(|c: char| !c.is_ascii_digit()).unwrap_or(numbered.len());
        let (number, after) = numbered.split_at(digits);
        let number: u32 = number.parse().unwrap_or(0);
        sql.push_str(plain);
        sql.push('$');
        sql.push_str(&(number + before).to_string());
        rest = after;
    }
    sql.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_numbered_without_a_gap_and_the_smallest_text_is_taken() {
        for text in &*TEXTS {
            let count: u32 = pieces(text.parts).map(|(arguments, _)| arguments).sum();
            for number in 1..=count {
                let named = |end| text.sql.contains(&format!("${number}{end}"));
                assert!([":", ",", ")", " "].into_iter().any(named), "${number}: {}", text.sql);
            }
            assert!(!text.sql.contains(&format!("${}", count + 1)), "{}", text.sql);
        }
        assert_eq!(text(Parts::CHANGED).parts, KINDS[0]);
        assert_eq!(text(Parts::BORN).parts, KINDS[1]);
        assert_eq!(text(Parts::BORN.with(Parts::CLOSED, true)).parts, KINDS[2]);
        assert_eq!(text(Parts::CHANGED.with(Parts::TOLD, true)).parts, Parts::ALL);
        let lengths: Vec<usize> = TEXTS.iter().map(|text| text.sql.len()).collect();
        assert!(lengths.is_sorted(), "{lengths:?}");
    }
}

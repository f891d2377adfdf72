-- Times are microseconds since the Unix epoch, states are
-- 0 PENDING, 1 RUNNING, 2 SUCCEEDED, 3 FAILED, 4 CANCELLED, 5 SKIPPED. Encoded columns are MessagePack maps with
-- short field names, without what is at its default (src/store/rows.rs).

-- What never changes of a job.
CREATE TABLE jobs (
    id uuid NOT NULL PRIMARY KEY,
    job_type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    trigger smallint NOT NULL CHECK (trigger BETWEEN 0 AND 3),
    category text COLLATE "C",
    create_time bigint NOT NULL,
    labels jsonb NOT NULL,
    spec bytea NOT NULL,
    payload bytea
);

CREATE INDEX jobs_owner ON jobs (owner, id) WHERE owner <> '';
CREATE INDEX jobs_subject ON jobs (subject, id) WHERE subject <> '';
CREATE INDEX jobs_external_id ON jobs (external_id, id) WHERE external_id <> '';

CREATE TABLE job_labels (
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    job_id uuid NOT NULL,
    PRIMARY KEY (key, value, job_id)
);

-- What changes of a job. A row stands in one of the first three indexes at a time; in the fourth
-- only while the clock alone may change it. A version of a row that finds room beside the one before is logged
-- in fewer bytes: two fifths of a page are kept for that, which costs a twelfth more room for each job.
CREATE TABLE job_status (
    id uuid NOT NULL PRIMARY KEY,
    job_type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 0 AND 5),
    revision bigint NOT NULL CHECK (revision > 0),
    lease_epoch bigint NOT NULL CHECK (lease_epoch >= 0),
    ready_key bigint,
    schedule_time bigint NOT NULL,
    session_id uuid,
    worker_id text COLLATE "C",
    deadline bigint,
    end_time bigint,
    update_time bigint NOT NULL,
    status bytea NOT NULL,
    result bytea,
    CHECK ((ready_key IS NOT NULL) = (state = 0)),
    CHECK ((session_id IS NOT NULL) = (state = 1)),
    CHECK ((end_time IS NOT NULL) = (state >= 2)),
    CHECK (deadline IS NULL OR state < 2),
    CHECK (state <> 1 OR lease_epoch > 0)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 1);

CREATE INDEX job_status_ready ON job_status (queue, job_type, ready_key, id, schedule_time)
    WHERE state = 0;
CREATE INDEX job_status_running ON job_status (session_id) WHERE state = 1;
CREATE INDEX job_status_done ON job_status (job_type, state, id) WHERE state >= 2;
CREATE INDEX job_status_deadline ON job_status (deadline) WHERE deadline IS NOT NULL;

-- The newest flushed progress of running jobs: written often, found by its key alone.
CREATE TABLE job_progress (
    id uuid NOT NULL PRIMARY KEY,
    lease_epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    data bytea NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Executions that the status no longer holds.
CREATE TABLE job_attempts (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL,
    lease_epoch bigint NOT NULL,
    attempt bytea NOT NULL
);

CREATE INDEX job_attempts_job ON job_attempts (job_id, lease_epoch);

-- Log batches as received; a gap is a row without lines. A position is never given twice, and those
-- of one job come from one lease at a time, so they grow as they were written.
CREATE TABLE job_logs (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL,
    lease_epoch bigint NOT NULL,
    attempt bigint NOT NULL,
    seq bigint,
    line_count bigint NOT NULL,
    dropped bigint NOT NULL,
    entries bytea NOT NULL
);

CREATE INDEX job_logs_job ON job_logs (job_id, position);
CREATE UNIQUE INDEX job_logs_seq ON job_logs (job_id, lease_epoch, seq) WHERE seq IS NOT NULL;

-- Names that must be unique: 0 REQUEST (caller, request id), 1 UNIQUE (type, key).
CREATE TABLE job_keys (
    kind smallint NOT NULL CHECK (kind BETWEEN 0 AND 1),
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    job_id uuid NOT NULL,
    fingerprint bytea CHECK ((fingerprint IS NOT NULL) = (kind = 0)),
    create_time bigint NOT NULL,
    job_gone boolean NOT NULL DEFAULT false CHECK (NOT job_gone OR kind = 0),
    PRIMARY KEY (kind, scope, key)
);

CREATE INDEX job_keys_job ON job_keys (job_id);
CREATE INDEX job_keys_gone ON job_keys (create_time) WHERE job_gone;

-- Leases. Body holds what never changes of a session.
CREATE TABLE sessions (
    id uuid NOT NULL PRIMARY KEY,
    instance_id text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    connect_time bigint NOT NULL,
    ttl bigint NOT NULL CHECK (ttl >= 0),
    expire_time bigint NOT NULL,
    end_time bigint,
    end_reason smallint CHECK (end_reason BETWEEN 0 AND 3),
    body bytea NOT NULL,
    CHECK ((end_time IS NULL) = (end_reason IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

CREATE INDEX sessions_expire ON sessions (expire_time) WHERE end_time IS NULL;
CREATE INDEX sessions_instance ON sessions (instance_id) WHERE end_time IS NULL;
CREATE INDEX sessions_ended ON sessions (end_time) WHERE end_time IS NOT NULL;

-- Jobs now stored by type, effective queue and state, and how many ever came to it: what was folded
-- so far, and what commits added since. A read is the sum of both.
CREATE TABLE stat_totals (
    job_type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 0 AND 5),
    stored bigint NOT NULL,
    finished_total bigint NOT NULL,
    PRIMARY KEY (job_type, queue, state)
) WITH (fillfactor = 50);

CREATE TABLE stat_deltas (
    job_type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 0 AND 5),
    stored bigint NOT NULL,
    finished_total bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

-- What happened within a minute: any number of rows for a key, summed by whoever reads them; new ones
-- are folded into one from time to time.
CREATE TABLE stat_buckets (
    minute bigint NOT NULL,
    job_type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    tally bytea NOT NULL,
    folded boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

CREATE INDEX stat_buckets_minute ON stat_buckets (minute, job_type, queue);
CREATE INDEX stat_buckets_new ON stat_buckets (minute, job_type, queue) WHERE NOT folded;

-- How often the database came up without having been shut down. Empty after a crash and on a promoted
-- standby, as unlogged tables are: the first server that finds it so gives the next number. Numbers of
-- transactions that left no trace on disk are given again after a crash, so alone they name no commit.
CREATE UNLOGGED TABLE incarnation (
    one smallint NOT NULL PRIMARY KEY CHECK (one = 1),
    number bigint NOT NULL CHECK (number BETWEEN 1 AND 32767)
);

-- One row for each commit: which jobs it wrote and removed, and where jobs began to wait. Its place is
-- its transaction with the incarnation in the bits from 48 on; `next` and `under_way` are the
-- snapshot it was written under, in the same numbers. A place in the log is such a snapshot:
-- transactions become visible in another order than they are numbered in. A fence says that the batch
-- was not committed and never will be.
CREATE TABLE changes (
    batch_id uuid NOT NULL PRIMARY KEY,
    transaction bigint NOT NULL,
    next bigint NOT NULL,
    under_way bigint[] NOT NULL,
    fence boolean NOT NULL DEFAULT false,
    time bigint NOT NULL,
    job_ids uuid[] NOT NULL,
    removed jsonb NOT NULL,
    ready jsonb NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX changes_transaction ON changes (transaction);
CREATE INDEX changes_time ON changes (time);

-- Ids are 16 bytes, times are microseconds since the Unix epoch, states are
-- 0 PENDING, 1 RUNNING, 2 SUCCEEDED, 3 FAILED, 4 CANCELLED, 5 SKIPPED. Encoded columns are MessagePack maps with
-- short field names, without what is at its default (src/store/rows.rs).

-- What never changes of a job.
CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    job_type TEXT NOT NULL,
    queue TEXT NOT NULL,
    owner TEXT NOT NULL,
    subject TEXT NOT NULL,
    external_id TEXT NOT NULL,
    created_by TEXT NOT NULL,
    trigger INTEGER NOT NULL CHECK (trigger BETWEEN 0 AND 3),
    category TEXT,
    create_time INTEGER NOT NULL,
    labels TEXT NOT NULL,
    spec BLOB NOT NULL,
    payload BLOB
) STRICT;

CREATE INDEX jobs_owner ON jobs (owner, id) WHERE owner <> '';
CREATE INDEX jobs_subject ON jobs (subject, id) WHERE subject <> '';
CREATE INDEX jobs_external_id ON jobs (external_id, id) WHERE external_id <> '';

CREATE TABLE job_labels (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    job_id BLOB NOT NULL,
    PRIMARY KEY (key, value, job_id)
) STRICT, WITHOUT ROWID;

-- What changes of a job. A row stands in one of the first three indexes at a time; in the fourth
-- only while the clock alone may change it.
CREATE TABLE job_status (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    job_type TEXT NOT NULL,
    queue TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
    revision INTEGER NOT NULL CHECK (revision > 0),
    lease_epoch INTEGER NOT NULL CHECK (lease_epoch >= 0),
    ready_key INTEGER,
    schedule_time INTEGER NOT NULL,
    session_id BLOB,
    worker_id TEXT,
    deadline INTEGER,
    end_time INTEGER,
    update_time INTEGER NOT NULL,
    status BLOB NOT NULL,
    result BLOB,
    CHECK ((ready_key IS NOT NULL) = (state = 0)),
    CHECK ((session_id IS NOT NULL) = (state = 1)),
    CHECK ((end_time IS NOT NULL) = (state >= 2)),
    CHECK (deadline IS NULL OR state < 2),
    CHECK (state <> 1 OR lease_epoch > 0)
) STRICT;

CREATE INDEX job_status_ready ON job_status (queue, job_type, ready_key, id, schedule_time)
    WHERE state = 0;
CREATE INDEX job_status_running ON job_status (session_id) WHERE state = 1;
CREATE INDEX job_status_done ON job_status (job_type, state, id) WHERE state >= 2;
CREATE INDEX job_status_deadline ON job_status (deadline) WHERE deadline IS NOT NULL;

-- The newest flushed progress of running jobs.
CREATE TABLE job_progress (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    lease_epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

-- Executions that the status no longer holds.
CREATE TABLE job_attempts (
    position INTEGER NOT NULL PRIMARY KEY,
    job_id BLOB NOT NULL,
    lease_epoch INTEGER NOT NULL,
    attempt BLOB NOT NULL
) STRICT;

CREATE INDEX job_attempts_job ON job_attempts (job_id, lease_epoch);

-- Log batches as received; a gap is a row without lines. A position is never given twice.
CREATE TABLE job_logs (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job_id BLOB NOT NULL,
    lease_epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER,
    line_count INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    entries BLOB NOT NULL
) STRICT;

CREATE INDEX job_logs_job ON job_logs (job_id);
CREATE UNIQUE INDEX job_logs_seq ON job_logs (job_id, lease_epoch, seq) WHERE seq IS NOT NULL;

-- Names that must be unique: 0 REQUEST (caller, request id), 1 UNIQUE (type, key).
CREATE TABLE job_keys (
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 1),
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    job_id BLOB NOT NULL,
    fingerprint BLOB CHECK ((fingerprint IS NOT NULL) = (kind = 0)),
    create_time INTEGER NOT NULL,
    job_gone INTEGER NOT NULL DEFAULT 0 CHECK (job_gone = 0 OR kind = 0),
    PRIMARY KEY (kind, scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_keys_job ON job_keys (job_id);
CREATE INDEX job_keys_gone ON job_keys (create_time) WHERE job_gone = 1;

-- Leases. Body holds what never changes of a session.
CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    instance_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    connect_time INTEGER NOT NULL,
    ttl INTEGER NOT NULL CHECK (ttl >= 0),
    expire_time INTEGER NOT NULL,
    end_time INTEGER,
    end_reason INTEGER CHECK (end_reason BETWEEN 0 AND 3),
    body BLOB NOT NULL,
    CHECK ((end_time IS NULL) = (end_reason IS NULL))
) STRICT;

CREATE INDEX sessions_expire ON sessions (expire_time) WHERE end_time IS NULL;
CREATE INDEX sessions_instance ON sessions (instance_id) WHERE end_time IS NULL;
CREATE INDEX sessions_ended ON sessions (end_time) WHERE end_time IS NOT NULL;

-- Jobs now stored by type, effective queue and state, and how many ever came to it.
CREATE TABLE stat_totals (
    job_type TEXT NOT NULL,
    queue TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
    stored INTEGER NOT NULL,
    finished_total INTEGER NOT NULL,
    PRIMARY KEY (job_type, queue, state)
) STRICT, WITHOUT ROWID;

-- What happened within a minute.
CREATE TABLE stat_buckets (
    minute INTEGER NOT NULL,
    job_type TEXT NOT NULL,
    queue TEXT NOT NULL,
    tally BLOB NOT NULL,
    PRIMARY KEY (minute, job_type, queue)
) STRICT;

-- One row for each commit: which jobs it wrote and which it removed.
CREATE TABLE changes (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    batch_id BLOB NOT NULL UNIQUE CHECK (length(batch_id) = 16),
    time INTEGER NOT NULL,
    job_ids BLOB NOT NULL CHECK (length(job_ids) % 16 = 0),
    removed TEXT NOT NULL
) STRICT;

CREATE INDEX changes_time ON changes (time);

-- Everything that is set up rather than done, with its state: types, queues, quotas, breakers, cursors. Kinds are
-- 0 TYPE, 1 QUEUE, 2 QUOTA, 3 QUOTA_USE, 4 CIRCUIT, 5 SCHEDULE, 6 RATE.
CREATE TABLE rules (
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 6),
    name TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    body BLOB NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Which rules a commit changed: a list of [kind, name].
ALTER TABLE changes ADD COLUMN rules TEXT NOT NULL DEFAULT '[]';

-- Names that must be unique: 0 REQUEST (caller, request id), 1 UNIQUE (type, key), 2 FIRE (type, nominal time).
-- SQLite cannot widen a CHECK, so the table is made anew.
CREATE TABLE job_keys_wide (
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    job_id BLOB NOT NULL,
    fingerprint BLOB CHECK ((fingerprint IS NOT NULL) = (kind = 0)),
    create_time INTEGER NOT NULL,
    job_gone INTEGER NOT NULL DEFAULT 0 CHECK (job_gone = 0 OR kind = 0),
    PRIMARY KEY (kind, scope, key)
) STRICT, WITHOUT ROWID;

INSERT INTO job_keys_wide (kind, scope, key, job_id, fingerprint, create_time, job_gone)
    SELECT kind, scope, key, job_id, fingerprint, create_time, job_gone FROM job_keys;

DROP TABLE job_keys;

ALTER TABLE job_keys_wide RENAME TO job_keys;

CREATE INDEX job_keys_job ON job_keys (job_id);
CREATE INDEX job_keys_gone ON job_keys (create_time) WHERE job_gone = 1;

-- What happened, in the order of the commits. Of rows with the same `once` only the first is kept.
CREATE TABLE events (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    name TEXT NOT NULL,
    job_type TEXT,
    once TEXT,
    body BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_once ON events (once) WHERE once IS NOT NULL;

-- Who did what.
CREATE TABLE audit_events (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    job_id BLOB CHECK (length(job_id) = 16),
    job_type TEXT,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX audit_events_time ON audit_events (time, position);
CREATE INDEX audit_events_actor ON audit_events (actor, time, position);
CREATE INDEX audit_events_action ON audit_events (action, time, position);
CREATE INDEX audit_events_job ON audit_events (job_id, time, position) WHERE job_id IS NOT NULL;
CREATE INDEX audit_events_type ON audit_events (job_type, time, position) WHERE job_type IS NOT NULL;

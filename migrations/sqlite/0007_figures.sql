-- Minutes summed up: what happened within an hour, once no window of an hour touches it.
CREATE TABLE stat_hours (
    hour INTEGER NOT NULL,
    job_type TEXT NOT NULL,
    queue TEXT NOT NULL,
    tally BLOB NOT NULL,
    PRIMARY KEY (hour, job_type, queue)
) STRICT;

-- What happened to the jobs of an owner (an empty key) or of a label within ten minutes: only of those that
-- the configuration names. Times are in microseconds.
CREATE TABLE stat_facets (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    slot INTEGER NOT NULL,
    created INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    started INTEGER NOT NULL,
    waited INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    ran INTEGER NOT NULL,
    PRIMARY KEY (key, value, slot)
) STRICT, WITHOUT ROWID;

CREATE INDEX stat_facets_slot ON stat_facets (slot);

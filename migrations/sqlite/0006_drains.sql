-- Kinds of rules are 0 TYPE, 1 QUEUE, 2 QUOTA, 3 QUOTA_USE, 4 CIRCUIT, 5 SCHEDULE, 6 RATE, 7 DRAIN.
-- SQLite cannot widen a CHECK, so the table is made anew.
CREATE TABLE rules_wide (
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 7),
    name TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    body BLOB NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

INSERT INTO rules_wide (kind, name, revision, body, update_time)
    SELECT kind, name, revision, body, update_time FROM rules;

DROP TABLE rules;

ALTER TABLE rules_wide RENAME TO rules;

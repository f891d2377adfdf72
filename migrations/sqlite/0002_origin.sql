-- Whose change log this is: a position in it means nothing in another store, nor after the store was
-- set back to an older state (a new timeline).
CREATE TABLE origin (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    store BLOB NOT NULL CHECK (length(store) = 16),
    timeline INTEGER NOT NULL CHECK (timeline > 0)
) STRICT;

INSERT INTO origin (one, store, timeline) VALUES (1, randomblob(16), 1);

-- 'jobp': what `file` and the server know the file by.
PRAGMA application_id = 1785684592;

-- Whose change log this is; the timeline is PostgreSQL's own. `home` says where the log came to be: a log
-- found elsewhere is a copy, and gets a name of its own. `incarnations` counts those given so far.
-- What is gone from the log is known to every place that covers the snapshot `pruned_next`,
-- `pruned_under_way`.
CREATE TABLE origin (
    one smallint NOT NULL PRIMARY KEY CHECK (one = 1),
    store uuid NOT NULL,
    home text NOT NULL,
    incarnations bigint NOT NULL,
    pruned_next bigint NOT NULL,
    pruned_under_way bigint[] NOT NULL
);

INSERT INTO origin VALUES (1, gen_random_uuid(), '', 0, 0, '{}');

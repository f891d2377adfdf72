-- Minutes summed up: what happened within an hour, once no window of an hour touches it.
CREATE TABLE stat_hours (
    hour bigint NOT NULL,
    job_type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    tally bytea NOT NULL,
    PRIMARY KEY (hour, job_type, queue)
);

-- What happened to the jobs of an owner (an empty key) or of a label within ten minutes: only of those that
-- the configuration names. Times are in microseconds. As with the counters, a read is the sum of what was
-- folded and of what commits added since.
CREATE TABLE stat_facets (
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    slot bigint NOT NULL,
    created bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    skipped bigint NOT NULL,
    started bigint NOT NULL,
    waited bigint NOT NULL,
    ended bigint NOT NULL,
    ran bigint NOT NULL,
    PRIMARY KEY (key, value, slot)
) WITH (fillfactor = 70);

CREATE INDEX stat_facets_slot ON stat_facets (slot);

CREATE TABLE stat_facet_deltas (
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    slot bigint NOT NULL,
    created bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    skipped bigint NOT NULL,
    started bigint NOT NULL,
    waited bigint NOT NULL,
    ended bigint NOT NULL,
    ran bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

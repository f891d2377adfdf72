-- What happened. The place of a row is its commit's transaction, in the numbers of `changes`, and its number:
-- numbers are given before commits become visible. Of rows with the same `once` only the first is kept.
CREATE TABLE events (
    transaction bigint NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    time bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    job_type text COLLATE "C",
    once text COLLATE "C",
    body bytea NOT NULL,
    PRIMARY KEY (transaction, position)
);

CREATE UNIQUE INDEX events_once ON events (once) WHERE once IS NOT NULL;

-- Who did what.
CREATE TABLE audit_events (
    position bigint GENERATED ALWAYS AS IDENTITY,
    time bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    job_id uuid,
    job_type text COLLATE "C",
    body bytea NOT NULL,
    PRIMARY KEY (time, position)
);

CREATE INDEX audit_events_actor ON audit_events (actor, time, position);
CREATE INDEX audit_events_action ON audit_events (action, time, position);
CREATE INDEX audit_events_job ON audit_events (job_id, time, position) WHERE job_id IS NOT NULL;
CREATE INDEX audit_events_type ON audit_events (job_type, time, position) WHERE job_type IS NOT NULL;

-- When a job that is over may be taken away, if its spec says how long it is kept; others go by the policy of the
-- server. A row stands in the index only if it has such a time.
ALTER TABLE job_status ADD COLUMN purge_time bigint CHECK (purge_time IS NULL OR state >= 2);

CREATE INDEX job_status_purge ON job_status (purge_time, id) WHERE purge_time IS NOT NULL;

-- What is over is taken away by the time of its end: of a type and a state the oldest first. Only what asks for times
-- of ends finds this index by its condition: all else goes by job_status_done, in the order of ids. Whether a row has a
-- time of its own stands at the end, so that those which have one are passed by without being looked up.
CREATE INDEX job_status_ended ON job_status (job_type, state, end_time, id, purge_time) WHERE end_time IS NOT NULL;

-- Kinds are 0 TYPE, 1 QUEUE, 2 QUOTA, 3 QUOTA_USE, 4 CIRCUIT, 5 SCHEDULE, 6 RATE, 10 RETENTION, 11 BULK. The code knows
-- them; the check only keeps out what is none at all.
ALTER TABLE rules DROP CONSTRAINT rules_kind_check;
ALTER TABLE rules ADD CONSTRAINT rules_kind_check CHECK (kind BETWEEN 0 AND 31);

-- What running jobs count under: the label's value that their type is capped by. Only those are in the index.
ALTER TABLE job_status ADD COLUMN concurrency_key TEXT CHECK (concurrency_key IS NULL OR state = 1);

CREATE INDEX job_status_key ON job_status (job_type, concurrency_key)
    WHERE state = 1 AND concurrency_key IS NOT NULL;

-- What runs in a queue, and in all.
CREATE INDEX stat_totals_running ON stat_totals (queue) WHERE state = 1;

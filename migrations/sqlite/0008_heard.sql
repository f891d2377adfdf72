-- When the newest of what a flushed row tells came, in microseconds: neither a line in the log nor a sample of usage has
-- a sequence.
ALTER TABLE job_progress ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;

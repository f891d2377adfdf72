-- When the newest of what a flushed row tells came, in microseconds: neither a line in the log nor a sample of usage has
-- a sequence, and a server that was cut off for a while may bring what it knew before.
ALTER TABLE job_progress ADD COLUMN heard bigint NOT NULL DEFAULT 0;

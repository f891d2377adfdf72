-- A line of the log and a sample of usage have no sequence: when the last activity and the newest sample came are orders
-- of their own, eight bytes each, by which a row goes forward whatever its sequence. What a sample says stands behind its
-- time. A server that was cut off for a while may bring what it knew before.
ALTER TABLE job_progress
    ADD COLUMN active bytea NOT NULL DEFAULT '\x0000000000000000',
    ADD COLUMN used bytea NOT NULL DEFAULT '\x0000000000000000';

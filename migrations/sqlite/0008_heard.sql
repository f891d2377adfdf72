-- A line of the log and a sample of usage have no sequence: when the last activity and the newest sample came are orders
-- of their own, eight bytes each, by which a row goes forward whatever its sequence. What a sample says stands behind its
-- time.
ALTER TABLE job_progress ADD COLUMN active BLOB NOT NULL DEFAULT x'0000000000000000';
ALTER TABLE job_progress ADD COLUMN used BLOB NOT NULL DEFAULT x'0000000000000000';

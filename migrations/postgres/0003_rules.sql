-- Everything that is set up rather than done, with its state: types, queues, quotas, breakers, cursors. Kinds are
-- 0 TYPE, 1 QUEUE, 2 QUOTA, 3 QUOTA_USE, 4 CIRCUIT, 5 SCHEDULE, 6 RATE.
CREATE TABLE rules (
    kind smallint NOT NULL CHECK (kind BETWEEN 0 AND 6),
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    body bytea NOT NULL,
    update_time bigint NOT NULL,
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 50);

-- Which rules a commit changed: a list of [kind, name].
ALTER TABLE changes ADD COLUMN rules jsonb NOT NULL DEFAULT '[]';

-- Names that must be unique: 0 REQUEST (caller, request id), 1 UNIQUE (type, key), 2 FIRE (type, nominal time).
ALTER TABLE job_keys DROP CONSTRAINT job_keys_kind_check;
ALTER TABLE job_keys ADD CONSTRAINT job_keys_kind_check CHECK (kind BETWEEN 0 AND 2);

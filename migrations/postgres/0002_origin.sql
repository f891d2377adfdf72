-- Whose change log this is. The timeline is PostgreSQL's own.
CREATE TABLE origin (
    one smallint NOT NULL PRIMARY KEY CHECK (one = 1),
    store uuid NOT NULL
);

INSERT INTO origin (one, store) VALUES (1, gen_random_uuid());

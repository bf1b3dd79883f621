-- The directory's signed snapshot (TUF): the documents and files as they are handed out.
CREATE TABLE snapshot_file (
    name text PRIMARY KEY,
    body bytea NOT NULL,
    made timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who has begun to read an older snapshot finishes: it is taken away a day after it was superseded.
    superseded timestamptz
);
-- The newest document of each role.
CREATE TABLE snapshot_role (role text PRIMARY KEY, name text NOT NULL);
-- What key epoch the files are of; the row that whoever publishes locks.
CREATE TABLE snapshot_head (one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch bigint NOT NULL);
INSERT INTO snapshot_head (epoch) VALUES (-1);

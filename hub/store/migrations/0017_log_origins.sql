-- The origins that the log has had, oldest first: each signs the checkpoints of more than `since` entries. Where an origin
-- begins, the entry at index `since` is `continued`; the first one begins with the log.
CREATE TABLE log_origin (
    epoch int PRIMARY KEY,
    origin text NOT NULL UNIQUE,
    since bigint NOT NULL
);
INSERT INTO log_origin SELECT 0, origin, 0 FROM log_head;

-- Under which origin a neighbour's log was learned: an index of it means something in that log alone.
ALTER TABLE neighbour ADD COLUMN origin text;

-- The position before the first of the current mailbox epoch, in every mailbox.
ALTER TABLE log_head ADD COLUMN epoch_base bigint NOT NULL DEFAULT 0;

-- name: head
SELECT hub, origin, size, root, note, at, key_epoch, epoch_base FROM log_head;

-- name: lock_head
SELECT origin, size, root, note, at, key_epoch, epoch_base, greatest(clock_timestamp(), at) AS now,
    -- Who goes silent with the lock, cut off or stopped, loses it: all others wait for it. Silent between the messages
    -- of one statement is not idle to PostgreSQL; that is ended after $1, a time or 0, by PostgreSQL 17 and later.
    set_config('idle_in_transaction_session_timeout', '5s', true),
    CASE WHEN current_setting('server_version_num')::integer >= 170000
        THEN set_config('transaction_timeout', $1, true) END,
    -- Free once every node of a cluster has heard of the commit; the row is as soon as this one has (decision 43).
    pg_advisory_xact_lock(7030002)
FROM log_head FOR UPDATE;

-- name: hub
SELECT hub FROM log_head;

-- name: size
SELECT size FROM log_head;

-- name: key_epoch
SELECT key_epoch FROM log_head;

-- name: create_head
WITH head AS (
    INSERT INTO log_head (hub, origin, size, root, note, at) VALUES ($1, $2, 0, $3, $4, clock_timestamp())
    ON CONFLICT DO NOTHING RETURNING origin
)
INSERT INTO log_origin (epoch, origin, since) SELECT 0, origin, 0 FROM head;

-- name: origins
SELECT origin, since FROM log_origin ORDER BY epoch;

-- name: continue_log
WITH begun AS (INSERT INTO log_origin (epoch, origin, since) SELECT $2, $1, size FROM log_head)
UPDATE log_head SET origin = $1, epoch_base = $3;

-- name: begin_epoch
UPDATE mailbox_counter SET last = $1, handed = CASE handed WHEN last THEN $1 ELSE handed END,
    fetched = CASE fetched WHEN last THEN $1 ELSE fetched END,
    acknowledged = CASE acknowledged WHEN last THEN $1 ELSE acknowledged END;

-- name: bump_key_epoch
UPDATE log_head SET key_epoch = key_epoch + 1;

-- name: append
WITH entries AS (
    INSERT INTO log_entry (index, leaf)
    SELECT $1::bigint + ordinality - 1, leaf FROM unnest($2::bytea[]) WITH ORDINALITY AS new (leaf, ordinality)
), published AS (
    INSERT INTO log_checkpoint (size, note) VALUES ($3, $5)
), moved AS (
    UPDATE log_head SET size = $3, root = $4, note = $5, at = $6
)
SELECT pg_notify('xieban', $7) WHERE $7::text IS NOT NULL;

-- name: add_tiles
INSERT INTO log_tile (level, index, hashes, root)
SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[], $4::bytea[]);

-- name: checkpoints
SELECT size, note FROM log_checkpoint WHERE size = ANY($1::bigint[]);

-- name: entries
SELECT index, leaf FROM log_entry WHERE index = ANY($1::bigint[]);

-- name: entries_between
SELECT index, leaf FROM log_entry WHERE index >= $1 AND index < $2 ORDER BY index;

-- name: tile
SELECT hashes FROM log_tile WHERE level = $1 AND index = $2;

-- name: tile_roots
SELECT root FROM log_tile WHERE level = $1 AND index >= $2 AND index < $3 ORDER BY index;

-- name: add_cosignature
INSERT INTO log_cosignature (size, witness, line, at) SELECT $1, $2, $3, $4
WHERE EXISTS (SELECT FROM log_checkpoint WHERE size = $1 AND starts_with(note, $5))
ON CONFLICT (size, witness) DO NOTHING;

-- name: cosigned
SELECT checkpoint.size, checkpoint.note, string_agg(cosigned.line, '' ORDER BY cosigned.witness) AS lines
FROM log_cosignature AS cosigned JOIN log_checkpoint AS checkpoint USING (size)
WHERE cosigned.size = (SELECT max(size) FROM log_cosignature) GROUP BY checkpoint.size, checkpoint.note;

-- name: forget_cosignatures
DELETE FROM log_cosignature WHERE witness = $1 AND size < $2;

-- name: tiles_between
SELECT index, hashes FROM log_tile WHERE level = $1 AND index >= $2 AND index < $3 ORDER BY index;

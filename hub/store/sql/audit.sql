-- name: checkpoints_between
SELECT size, note FROM log_checkpoint WHERE size > $1 AND size <= $2;

-- name: stored_tile
SELECT hashes, root FROM log_tile WHERE level = $1 AND index = $2;

-- name: log_totals
SELECT (SELECT count(*) FROM log_entry) AS entries, (SELECT count(*) FROM log_tile) AS tiles,
    (SELECT count(*) FROM log_checkpoint) AS checkpoints;

-- name: message_keys
SELECT source, id, log_index, digest, signing_input FROM message_key
WHERE (source, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: message_totals
SELECT (SELECT count(*) FROM message) AS message, (SELECT count(*) FROM message_key) AS message_key;

-- name: mailbox_rows
SELECT recipient, position, log_index, digest FROM mailbox
WHERE (recipient, position) IN (SELECT * FROM unnest($1::text[], $2::bigint[]));

-- name: all_counters
SELECT recipient, last, handed, fetched, acknowledged FROM mailbox_counter ORDER BY recipient;

-- name: expired_positions
WITH counter AS MATERIALIZED (SELECT recipient, fetched FROM mailbox_counter)
SELECT box.recipient, box.position, box.position <= counter.fetched AS fetched
FROM counter JOIN mailbox AS box ON box.recipient = counter.recipient WHERE box.expired;

-- name: mailbox_totals
SELECT (SELECT count(*) FROM mailbox) AS positions, (SELECT count(*) FROM mailbox_mark) AS marks;

-- name: steps
SELECT log_index, source, id, type, due FROM case_step
WHERE (case_id, log_index) IN (SELECT * FROM unnest($1::uuid[], $2::bigint[]));

-- name: step_total
SELECT count(*) FROM case_step;

-- name: all_cases
SELECT case_id, state, record FROM case_file
WHERE $1::uuid IS NULL OR case_id > $1 ORDER BY case_id LIMIT $2;

-- name: delegation_rows
SELECT id, statement, log_index, ended_index FROM delegation;

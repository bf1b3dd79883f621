-- name: known
SELECT source, id, signing_input, log_index, tree_size FROM message_key
WHERE (source, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: cases
SELECT record, moves FROM case_file WHERE case_id = ANY($1::uuid[]);

-- name: counters
SELECT recipient, last, handed, fetched, acknowledged FROM mailbox_counter WHERE recipient = ANY($1::text[]);

-- name: add_messages
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::text[], $5::uuid[], $6::bytea[], $7::bytea[],
        $8::text[], $9::text[], $10::text[], $11::date[], $12::boolean[])
    AS new (case_id, log_index, jws, source, id, signing_input, digest, type, before, after, due, provisional)
), kept AS (
    INSERT INTO message (case_id, log_index, accepted, jws) SELECT case_id, log_index, $18, jws FROM new
), known AS (
    INSERT INTO message_key (source, id, signing_input, digest, case_id, log_index, tree_size, accepted)
    SELECT source, id, signing_input, digest, case_id, log_index, $17, $18 FROM new
), delivered AS (
    INSERT INTO mailbox (recipient, position, case_id, log_index, source, id, digest, expires, tree_size, accepted)
    SELECT recipient, position, ($1::uuid[])[message], ($2::bigint[])[message], ($4::text[])[message],
        ($5::uuid[])[message], ($7::bytea[])[message], expires, $17, $18
    FROM unnest($13::text[], $14::bigint[], $15::int[], $16::timestamptz[]) AS new (recipient, position, message, expires)
)
INSERT INTO case_step (case_id, log_index, source, id, type, state_before, state_after, due, provisional, accepted)
SELECT case_id, log_index, source, id, type, before, after, due, provisional, $18 FROM new;

-- name: set_cases
WITH party AS (
    INSERT INTO case_party (organisation, case_id) SELECT * FROM unnest($12::text[], $13::uuid[])
    ON CONFLICT DO NOTHING
)
INSERT INTO case_file (case_id, protocol, version, state, opener, responder, due, opened, record, moves, updated)
SELECT case_id, protocol, version, state, opener, responder, due, opened, record, moves, $11
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[], $8::timestamptz[],
    $9::text[], $10::bigint[])
    AS new (case_id, protocol, version, state, opener, responder, due, opened, record, moves)
ON CONFLICT (case_id) DO UPDATE SET state = excluded.state, opener = excluded.opener, responder = excluded.responder,
    due = excluded.due, record = excluded.record, moves = excluded.moves, updated = excluded.updated
WHERE case_file.moves = excluded.moves - 1;

-- name: add_links
INSERT INTO case_link (about, case_id) SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING;

-- name: set_duties
INSERT INTO hub_duty (case_id, log_index, ready)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::date[])
ON CONFLICT (case_id) DO UPDATE SET log_index = excluded.log_index, ready = excluded.ready;

-- name: end_duties
DELETE FROM hub_duty WHERE case_id = ANY($1::uuid[]);

-- name: set_counters
INSERT INTO mailbox_counter AS counter (recipient, last, handed, fetched, acknowledged)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (recipient) DO UPDATE SET last = excluded.last, handed = greatest(counter.handed, excluded.handed),
    fetched = excluded.fetched, acknowledged = excluded.acknowledged;

-- name: add_marks
INSERT INTO mailbox_mark (recipient, kind, first, through, log_index, tree_size)
SELECT recipient, kind, first, through, log_index, $6
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS new (recipient, kind, first, through, log_index);

-- name: mark_expired
UPDATE mailbox SET expired = true WHERE recipient = $1 AND position = $2;

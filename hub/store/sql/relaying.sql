-- name: neighbours
SELECT hub, url, divisions, departments, expires, ended FROM neighbour ORDER BY hub;

-- name: neighbour_cursors
SELECT hub, taken, learned, scanned, log_index FROM neighbour WHERE hub = ANY($1::text[]);

-- name: set_neighbour
INSERT INTO neighbour (hub, url, divisions, departments, expires, log_index)
VALUES ($1, $2, string_to_array($3, ' '), string_to_array($4, ' '), $5, $6)
ON CONFLICT (hub) DO UPDATE SET url = excluded.url, divisions = excluded.divisions,
    departments = excluded.departments, expires = excluded.expires, log_index = excluded.log_index, ended = NULL;

-- name: end_neighbour
UPDATE neighbour SET ended = $2 WHERE hub = $1;

-- name: move_taken
UPDATE neighbour SET taken = $2 WHERE hub = $1;

-- name: move_learned
UPDATE neighbour SET learned = $2, scanned = $3, origin = coalesce($4, origin) WHERE hub = $1;

-- name: learned_origin
SELECT origin FROM neighbour WHERE hub = $1;

-- name: set_homes
UPDATE organisation SET home = $2, changed = (SELECT key_epoch + 1 FROM log_head) WHERE id = ANY($1::text[]);

-- name: add_passing
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::text[], $5::uuid[], $6::bytea[], $7::bytea[],
        $8::text[], $9::text[], $10::text[], $11::date[], $12::boolean[], $13::boolean[])
    AS new (case_id, log_index, jws, source, id, signing_input, digest, type, before, after, due, keyed, stepped)
), kept AS (
    INSERT INTO message (case_id, log_index, accepted, jws) SELECT case_id, log_index, $19, jws FROM new
), known AS (
    INSERT INTO message_key (source, id, signing_input, digest, case_id, log_index, tree_size, accepted)
    SELECT source, id, signing_input, digest, case_id, log_index, $18, $19 FROM new WHERE keyed
), delivered AS (
    INSERT INTO mailbox (recipient, position, case_id, log_index, source, id, digest, expires, tree_size, accepted)
    SELECT recipient, position, ($1::uuid[])[message], ($2::bigint[])[message], ($4::text[])[message],
        ($5::uuid[])[message], ($7::bytea[])[message], expires, $18, $19
    FROM unnest($14::text[], $15::bigint[], $16::int[], $17::timestamptz[]) AS new (recipient, position, message, expires)
)
INSERT INTO case_step (case_id, log_index, source, id, type, state_before, state_after, due, provisional, accepted)
SELECT case_id, log_index, source, id, type, before, after, due, false, $19 FROM new WHERE stepped;

-- name: add_relays
INSERT INTO relay (case_id, log_index, source, id, way, hub, there_index, problem, receipts, tree_size)
SELECT case_id, log_index, source, id, way, hub, there_index, problem, receipts, $10
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[])
    AS new (case_id, log_index, source, id, way, hub, there_index, problem, receipts);

-- name: relays
SELECT case_id, log_index, tree_size, source, id, way, hub, there_index, problem FROM relay
WHERE case_id = ANY($1::uuid[]) ORDER BY log_index;

-- name: relays_at
SELECT log_index, tree_size, way, hub, there_index, receipts FROM relay
WHERE (case_id, log_index) IN (SELECT * FROM unnest($1::uuid[], $2::bigint[]));

-- name: relay_total
SELECT count(*) FROM relay;

-- name: add_positions_there
INSERT INTO position_there (recipient, there, position) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
ON CONFLICT DO NOTHING;

-- name: positions_there
SELECT position FROM position_there WHERE recipient = $1 AND there BETWEEN $2 AND $3 ORDER BY position;

-- name: mailbox_place
SELECT recipient, position, case_id, log_index, source, id, accepted, expired FROM mailbox
WHERE recipient = $1 AND position = $2;

-- name: marked
SELECT through FROM mailbox_mark WHERE recipient = $1 AND kind = $2 AND through = ANY($3::bigint[]);

-- name: add_proofs_there
INSERT INTO proof_there (hub, log_index, proof) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])
ON CONFLICT DO NOTHING;

-- name: proofs_there
SELECT hub, log_index, proof FROM proof_there
WHERE (hub, log_index) IN (SELECT * FROM unnest($1::text[], $2::bigint[]));

-- name: parties_among
SELECT case_id FROM case_party WHERE organisation = $1 AND case_id = ANY($2::uuid[]);

-- name: cases_by_mark
SELECT DISTINCT wanted.number, box.case_id
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (recipient, first, through, number)
JOIN mailbox AS box ON box.recipient = wanted.recipient AND box.position BETWEEN wanted.first AND wanted.through;

-- name: mailbox_counter
SELECT last, handed, fetched, acknowledged FROM mailbox_counter WHERE recipient = $1;

-- name: mailbox_page
SELECT position, case_id, log_index, tree_size, source, id, accepted,
    expired OR coalesce(expires <= clock_timestamp(), false) AS expired
FROM mailbox WHERE recipient = $1 AND position > $2 ORDER BY position LIMIT $3;

-- name: mailbox_digest
SELECT digest FROM mailbox WHERE recipient = $1 AND position = $2;

-- name: mailbox_oldest
SELECT accepted FROM mailbox WHERE recipient = $1 AND position > $2 ORDER BY position LIMIT 1;

-- name: mailbox_expiring
SELECT recipient, position, case_id, source, id, expires FROM mailbox
WHERE expires <= clock_timestamp() AND NOT expired ORDER BY expires LIMIT $1;

-- name: case_protocols
SELECT case_id, protocol, version FROM case_file WHERE case_id = ANY($1::uuid[]);

-- name: hand_out
UPDATE mailbox_counter SET handed = $2 WHERE recipient = $1 AND handed < $2;

-- name: messages
SELECT case_id, log_index, jws FROM message
WHERE (case_id, log_index, accepted) IN (SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]));

-- name: message_key
SELECT source, id, digest, case_id, log_index, tree_size, accepted FROM message_key WHERE source = $1 AND id = $2;

-- name: marks
SELECT DISTINCT ON (kind) kind, log_index, tree_size FROM mailbox_mark
WHERE recipient = $1 AND through >= $2 AND first <= $2 ORDER BY kind, through;

-- name: case_record
SELECT record, due, updated FROM case_file WHERE case_id = $1;

-- name: case_steps
SELECT log_index, source, id, type, state_before, state_after, due, provisional, accepted
FROM case_step WHERE case_id = $1 ORDER BY log_index;

-- name: cases_of
SELECT DISTINCT case_id FROM case_party
WHERE organisation = ANY($1::text[]) AND ($2::uuid IS NULL OR case_id < $2) ORDER BY case_id DESC LIMIT $3;

-- name: case_records
SELECT record, due, updated FROM case_file
WHERE case_id = ANY($1::uuid[]) AND ($2::text IS NULL OR state = $2) ORDER BY case_id DESC;

-- name: case_party
SELECT organisation FROM case_party WHERE case_id = $1 AND organisation = ANY($2::text[]);

-- name: case_links
SELECT file.case_id, file.protocol, file.state FROM case_link AS link JOIN case_file AS file USING (case_id)
WHERE link.about = $1 ORDER BY file.case_id;

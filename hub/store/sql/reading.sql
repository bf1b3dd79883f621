-- name: mailbox_counter
SELECT last, handed, fetched, acknowledged FROM mailbox_counter WHERE recipient = $1;

-- name: mailbox_page
SELECT position, case_id, log_index, tree_size, source, id, accepted,
    expired OR coalesce(expires <= clock_timestamp(), false) AS expired
FROM mailbox WHERE recipient = $1 AND position > $2 ORDER BY position LIMIT $3;

-- name: positions_after
SELECT count(*) FROM mailbox WHERE recipient = $1 AND position > $2;

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
WITH linked AS MATERIALIZED (SELECT case_id FROM case_link WHERE about = $1)
SELECT case_id, protocol, state FROM case_file WHERE case_id IN (SELECT case_id FROM linked) ORDER BY case_id;

-- name: cases_between
WITH theirs AS MATERIALIZED (SELECT case_id FROM case_party WHERE organisation = $1)
SELECT case_id FROM case_party WHERE organisation = $2 AND case_id IN (SELECT case_id FROM theirs) ORDER BY case_id;

-- name: case_histories
SELECT case_id, log_index, type, source, state_before, state_after, due, accepted FROM case_step
WHERE case_id = ANY($1::uuid[]) AND log_index < $2 ORDER BY case_id, log_index;

-- name: case_pairs
SELECT DISTINCT least(opener, responder) AS one, greatest(opener, responder) AS other FROM case_file
WHERE protocol = ANY($1::text[]) AND opened < $3 AND (updated >= $2 OR due IS NOT NULL)
    AND record NOT LIKE '%"home":"%';

-- name: acknowledged_by
SELECT wanted.recipient, wanted.position, mark.log_index
FROM unnest($1::text[], $2::bigint[]) AS wanted (recipient, position)
JOIN LATERAL (
    SELECT log_index FROM mailbox_mark
    WHERE recipient = wanted.recipient AND kind = 'acknowledged' AND through >= wanted.position AND log_index < $3
        AND first <= wanted.position
    ORDER BY through LIMIT 1
) AS mark ON true;

-- name: duties
WITH due AS MATERIALIZED (SELECT case_id, log_index FROM hub_duty WHERE ready <= $1 ORDER BY case_id LIMIT $2)
SELECT due.case_id, due.log_index, file.record FROM due JOIN case_file AS file USING (case_id) ORDER BY due.case_id;

-- name: duty_done
DELETE FROM hub_duty WHERE case_id = $1 AND log_index = $2;

-- name: duty_postponed
UPDATE hub_duty SET ready = $3 WHERE case_id = $1 AND log_index = $2;

-- name: add_bulletin
INSERT INTO bulletin (lead, period, reporter, case_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: bulletins
WITH reported AS MATERIALIZED (
    SELECT period, reporter, case_id FROM bulletin WHERE lead = $1 AND period = ANY($2::text[])
)
SELECT reported.period, reported.reporter, file.case_id, file.record, file.opened, file.state
FROM reported JOIN case_file AS file USING (case_id) ORDER BY reported.reporter, file.opened;

-- name: returned
SELECT case_id, count(*) AS times FROM case_step
WHERE case_id = ANY($1::uuid[]) AND state_after = 'returned' AND state_before <> 'returned' GROUP BY case_id;

-- name: case_keys
WITH step AS MATERIALIZED (SELECT source, id, log_index, accepted FROM case_step WHERE case_id = $1)
SELECT step.id, step.log_index, key.tree_size, step.accepted
FROM step JOIN message_key AS key ON key.source = step.source AND key.id = step.id;

-- name: offer_protocols
INSERT INTO protocol_offered (protocol, version) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING;

-- name: protocols_gone
WITH gone AS MATERIALIZED (
    SELECT protocol, version FROM protocol_offered EXCEPT SELECT * FROM unnest($1::text[], $2::text[])
)
SELECT DISTINCT protocol, version FROM case_file WHERE (protocol, version) IN (SELECT protocol, version FROM gone)
ORDER BY protocol, version;

-- name: due_cases
SELECT case_id, protocol, state, opener, responder, due, stage, stage_of, count(*) OVER () AS many FROM case_course
WHERE NOT final AND due >= $2 AND due < $3 AND (opener = ANY($1::text[]) OR responder = ANY($1::text[]))
ORDER BY due, case_id LIMIT $4;

-- name: unfetched
WITH counter AS MATERIALIZED (
    SELECT recipient, fetched FROM mailbox_counter WHERE recipient = ANY($1::text[]) AND last > fetched
)
SELECT counter.recipient, count(*) AS waiting, min(box.accepted) AS since
FROM counter JOIN mailbox AS box ON box.recipient = counter.recipient AND box.position > counter.fetched
GROUP BY counter.recipient ORDER BY since LIMIT $2;

-- name: console_cases
SELECT case_id, protocol, state, opener, responder, opened_on, due, final, stage, stage_of FROM case_course
WHERE (opener = ANY($1::text[]) OR responder = ANY($1::text[])) AND ($2::text IS NULL OR protocol = $2)
    AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR opener = $4) AND ($5::text IS NULL OR responder = $5)
    AND ($6::text IS NULL OR stage = $6) AND (NOT $7::boolean OR (NOT final AND due < $8))
    AND opened_on BETWEEN $9 AND $10 AND ($11::date IS NULL OR (opened_on, case_id) < ($11, $12::uuid))
ORDER BY opened_on DESC, case_id DESC LIMIT $13;

-- name: cosigned_heads
SELECT witness, max(size) AS size, max(at) AS at FROM log_cosignature GROUP BY witness ORDER BY witness;

-- name: silent
SELECT stage_of, count(*) AS cases, min(stage_since) AS since FROM case_course
WHERE stage IN ('transit', 'unread') AND stage_since < $2 AND (opener = ANY($1::text[]) OR responder = ANY($1::text[]))
GROUP BY stage_of ORDER BY since LIMIT $3;

-- name: leads_of_month
SELECT DISTINCT lead FROM bulletin WHERE period = $1 AND lead = ANY($2::text[]) AND starts_with(lead, $3) ORDER BY lead LIMIT $4;

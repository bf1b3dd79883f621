-- What is erased, and what was.

-- name: erasable
SELECT record, (SELECT count(*) FROM message WHERE case_id = $1) AS messages,
    (SELECT coalesce(sum(length(jws)), 0) FROM message WHERE case_id = $1) AS bytes,
    (SELECT count(DISTINCT digest) FROM attachment_use WHERE case_id = $1) AS attachments
FROM case_file WHERE case_id = $1;

-- name: homes_among
SELECT DISTINCT home FROM organisation WHERE id = ANY($1::text[]) AND home IS NOT NULL ORDER BY home;

-- name: erase_case
DELETE FROM message WHERE case_id = $1;

-- name: erase_uses
DELETE FROM attachment_use WHERE case_id = $1 RETURNING digest;

-- name: add_erasure
INSERT INTO erasure (log_index, case_id, month, kept, at) VALUES ($1, $2, $3, $4, $5);

-- name: tell_erased
INSERT INTO notice (recipient, kind, case_id, due, step, about, made)
SELECT name, 'erased', $1, NULL, $3, '', clock_timestamp() FROM unnest($2::text[]) AS name
ON CONFLICT DO NOTHING;

-- name: release_attachments
UPDATE attachment SET uploaded = '-infinity' WHERE digest = ANY($1::bytea[])
    AND NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment.digest);

-- name: unname_attachments
UPDATE attachment_reader SET unnamed = true WHERE digest = ANY($1::bytea[]) AND uploader
    AND NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment_reader.digest);

-- name: take_back_attachments
WITH used AS MATERIALIZED (SELECT digest, log_index FROM attachment_use WHERE digest = ANY($1::bytea[])),
named AS MATERIALIZED (
    SELECT used.digest, box.recipient, box.source FROM used JOIN mailbox AS box ON box.log_index = used.log_index
)
DELETE FROM attachment_reader WHERE digest = ANY($1::bytea[]) AND NOT uploader AND (digest, organisation) NOT IN (
    SELECT digest, recipient FROM named UNION SELECT digest, source FROM named
);

-- name: erased_among
SELECT wanted.log_index FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS wanted (case_id, log_index, accepted)
WHERE EXISTS (SELECT FROM erasure WHERE erasure.case_id = wanted.case_id AND erasure.log_index > wanted.log_index)
    OR EXISTS (
        SELECT FROM erasure WHERE erasure.month = date_trunc('month', wanted.accepted AT TIME ZONE 'UTC')::date
            AND erasure.log_index > wanted.log_index
    );

-- name: erasures
SELECT log_index, case_id, month, kept, at FROM erasure ORDER BY log_index;

-- name: months_with_messages
SELECT date_trunc('month', accepted AT TIME ZONE 'UTC')::date AS month, count(*) AS messages,
    sum(length(jws)) AS bytes, count(*) FILTER (WHERE (protocol, version, state) IN (
        SELECT * FROM unnest($2::text[], $3::text[], $4::text[])) AND updated < $1) AS ended
FROM message JOIN case_file USING (case_id) WHERE accepted < $1 GROUP BY 1 ORDER BY 1;

-- name: erase_month_uses
DELETE FROM attachment_use WHERE log_index IN (
    SELECT log_index FROM message JOIN case_file USING (case_id)
    WHERE accepted >= $1 AND accepted < $2 AND updated < $3
        AND (protocol, version, state) IN (SELECT * FROM unnest($4::text[], $5::text[], $6::text[]))
) RETURNING digest;

-- name: kept_of_month
SELECT case_id, log_index, accepted, jws FROM message JOIN case_file USING (case_id)
WHERE accepted >= $1 AND accepted < $2 AND NOT (updated < $3
    AND (protocol, version, state) IN (SELECT * FROM unnest($4::text[], $5::text[], $6::text[])));

-- name: erase_of_default
DELETE FROM message_default WHERE accepted >= $1 AND accepted < $2;

-- name: put_back
INSERT INTO message (case_id, log_index, accepted, jws) SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[]);

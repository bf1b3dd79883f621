-- name: attachment
SELECT digest, size, place FROM attachment WHERE digest = $1;

-- name: attachment_readers
SELECT digest, organisation, uploader FROM attachment_reader WHERE digest = ANY($1::bytea[]);

-- name: keep_attachment
INSERT INTO attachment (digest, size, place) VALUES ($1, $2, $3)
ON CONFLICT (digest) DO UPDATE SET uploaded = excluded.uploaded
RETURNING place;

-- name: add_uploader
INSERT INTO attachment_reader (digest, organisation, uploader) VALUES ($1, $2, true)
ON CONFLICT (digest, organisation) DO UPDATE SET uploader = true;

-- name: unnamed_bytes
SELECT coalesce(sum(size), 0)::bigint FROM attachment
WHERE digest IN (SELECT digest FROM attachment_reader WHERE organisation = $1 AND uploader)
    AND NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment.digest);

-- name: uploaded_bytes
SELECT coalesce(sum(size), 0)::bigint FROM attachment
WHERE digest IN (SELECT digest FROM attachment_reader WHERE organisation = $1 AND uploader);

-- name: add_uses
WITH used AS (
    INSERT INTO attachment_use (digest, case_id, log_index)
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::bigint[])
)
INSERT INTO attachment_reader (digest, organisation, uploader)
SELECT DISTINCT digest, organisation, false FROM unnest($4::bytea[], $5::text[]) AS new (digest, organisation)
ON CONFLICT DO NOTHING;

-- name: collect_attachments
WITH gone AS (
    DELETE FROM attachment WHERE uploaded < now() - make_interval(days => $1)
        AND NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment.digest)
    RETURNING digest, place
), readers AS (
    DELETE FROM attachment_reader WHERE digest IN (SELECT digest FROM gone)
)
SELECT place FROM gone;

-- name: attachment_places
SELECT place FROM attachment WHERE place = ANY($1::text[]);

-- name: attachments_named
SELECT used.digest, used.case_id, used.log_index, kept.size, kept.place
FROM attachment_use AS used LEFT JOIN attachment AS kept USING (digest)
WHERE used.log_index = ANY($1::bigint[]);

-- name: attachment_totals
SELECT (SELECT count(*) FROM attachment_use) AS uses;

-- name: attachment_grants
SELECT digest, organisation FROM attachment_reader WHERE NOT uploader;

-- name: attachments_kept
SELECT digest, size, place FROM attachment
WHERE EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment.digest) ORDER BY digest;

-- name: forget_unnamed
WITH gone AS (
    DELETE FROM attachment
    WHERE NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment.digest) RETURNING digest
)
DELETE FROM attachment_reader WHERE digest IN (SELECT digest FROM gone);

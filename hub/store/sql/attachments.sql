-- name: attachment
SELECT digest, size, place FROM attachment WHERE digest = $1;

-- name: attachment_readers
SELECT digest, organisation, uploader FROM attachment_reader WHERE digest = ANY($1::bytea[]);

-- name: keep_attachment
INSERT INTO attachment (digest, size, place) VALUES ($1, $2, $3)
ON CONFLICT (digest) DO UPDATE SET uploaded = excluded.uploaded
RETURNING place;

-- name: add_uploader
INSERT INTO attachment_reader (digest, organisation, uploader, unnamed)
SELECT $1::bytea, $2::text, true, NOT EXISTS (SELECT FROM attachment_use WHERE digest = $1)
ON CONFLICT (digest, organisation) DO UPDATE SET uploader = true, unnamed = excluded.unnamed;

-- name: unnamed_bytes
-- `unnamed` says where to look; that no message names it, the uses say.
SELECT coalesce(sum(size), 0)::bigint FROM attachment
WHERE digest IN (SELECT digest FROM attachment_reader WHERE organisation = $1 AND unnamed)
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

-- name: name_attachments
UPDATE attachment_reader SET unnamed = false WHERE digest = ANY($1::bytea[]) AND unnamed;

-- name: collect_attachments
WITH gone AS (
    DELETE FROM attachment WHERE uploaded < now() - make_interval(days => $1)
        AND digest IN (SELECT digest FROM attachment_reader WHERE unnamed)
        AND NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment.digest)
    RETURNING digest, place
), readers AS (
    DELETE FROM attachment_reader WHERE digest IN (SELECT digest FROM gone)
)
SELECT place FROM gone;

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

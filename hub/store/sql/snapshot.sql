-- name: lock_snapshot
SELECT epoch FROM snapshot_head FOR UPDATE;

-- name: snapshot_epoch
SELECT epoch FROM snapshot_head;

-- name: set_snapshot_epoch
UPDATE snapshot_head SET epoch = $1;

-- name: snapshot_documents
SELECT role.role, file.body FROM snapshot_role AS role JOIN snapshot_file AS file USING (name);

-- name: snapshot_document
SELECT file.body FROM snapshot_role AS role JOIN snapshot_file AS file USING (name) WHERE role.role = $1;

-- name: add_snapshot_file
INSERT INTO snapshot_file (name, body) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET body = excluded.body, superseded = NULL;

-- name: set_snapshot_role
INSERT INTO snapshot_role (role, name) VALUES ($1, $2) ON CONFLICT (role) DO UPDATE SET name = excluded.name;

-- name: supersede_snapshot
UPDATE snapshot_file SET superseded = $2 WHERE superseded IS NULL AND name <> ALL($1::text[]) AND name NOT LIKE '%.root.json';

-- name: forget_snapshot
DELETE FROM snapshot_file WHERE superseded < $1;

-- name: snapshot_file
SELECT body FROM snapshot_file WHERE name = $1;

-- name: arrangements
SELECT arrangement.log_index, arrangement.tree_size, entry.leaf FROM arrangement
JOIN log_entry AS entry ON entry.index = arrangement.log_index ORDER BY arrangement.log_index;

-- name: add_arrangement
INSERT INTO arrangement (log_index, tree_size) VALUES ($1, $2);

-- name: arrangements_open
SELECT arrangement.log_index, entry.leaf FROM arrangement
JOIN log_entry AS entry ON entry.index = arrangement.log_index WHERE NOT carried_out ORDER BY arrangement.log_index;

-- name: arrangement_carried_out
UPDATE arrangement SET carried_out = true WHERE log_index = $1;

-- name: cases_like
SELECT case_id FROM case_file WHERE record LIKE ANY($1::text[]) AND ($2::uuid IS NULL OR case_id > $2)
ORDER BY case_id LIMIT $3;

-- name: add_due_changes
INSERT INTO due_change (case_id, log_index, tree_size)
SELECT case_id, log_index, $3 FROM unnest($1::uuid[], $2::bigint[]) AS new (case_id, log_index);

-- name: due_changes
SELECT case_id, log_index, tree_size FROM due_change WHERE case_id = ANY($1::uuid[]) AND log_index < $2 ORDER BY log_index;

-- name: due_change_total
SELECT count(*) FROM due_change;

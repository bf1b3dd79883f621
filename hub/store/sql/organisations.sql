-- name: organisations
SELECT id, name_zh, name_en, superior, roles, algorithms, home FROM organisation WHERE changed > $1 ORDER BY id;

-- name: organisation_keys
SELECT organisation, kid, jwk, added, removed, compromised FROM organisation_key ORDER BY organisation, added, kid;

-- name: keys_of
SELECT organisation, kid, jwk, added, removed, compromised FROM organisation_key
WHERE organisation = ANY($1::text[]) ORDER BY organisation, added, kid;

-- name: set_organisations
INSERT INTO organisation (id, name_zh, name_en, superior, roles, algorithms, changed)
SELECT id, name_zh, name_en, superior, string_to_array(roles, ' '), string_to_array(algorithms, ' '),
    (SELECT key_epoch + 1 FROM log_head)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS new (id, name_zh, name_en, superior, roles, algorithms)
ON CONFLICT (id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en,
    superior = excluded.superior, roles = excluded.roles, algorithms = excluded.algorithms,
    changed = excluded.changed;

-- name: add_counters
INSERT INTO mailbox_counter (recipient, last, handed, fetched, acknowledged)
SELECT new.recipient, epoch_base, epoch_base, epoch_base, epoch_base
FROM unnest($1::text[]) AS new (recipient), log_head ON CONFLICT DO NOTHING;

-- name: add_keys
WITH marked AS (UPDATE organisation SET changed = (SELECT key_epoch + 1 FROM log_head) WHERE id = ANY($1::text[]))
INSERT INTO organisation_key (organisation, kid, jwk, added)
SELECT organisation, kid, jwk, $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS new (organisation, kid, jwk)
ON CONFLICT (organisation, kid) DO UPDATE SET jwk = excluded.jwk, removed = NULL;

-- name: remove_keys
WITH marked AS (UPDATE organisation SET changed = (SELECT key_epoch + 1 FROM log_head) WHERE id = $1)
UPDATE organisation_key SET removed = $3 WHERE organisation = $1 AND kid = ANY($2::text[]) AND removed IS NULL;

-- name: successions
SELECT organisation, successor, effective, log_index, tree_size FROM succession ORDER BY log_index;

-- name: set_succession
INSERT INTO succession (organisation, successor, effective) VALUES ($1, $2, $3)
ON CONFLICT (organisation) DO UPDATE SET successor = excluded.successor, effective = excluded.effective
WHERE succession.log_index IS NULL;

-- name: successions_due
SELECT organisation, successor, effective FROM succession WHERE log_index IS NULL AND effective <= $1
ORDER BY effective, organisation;

-- name: succession_done
WITH marked AS (UPDATE organisation SET changed = (SELECT key_epoch + 1 FROM log_head) WHERE id = $1)
UPDATE succession SET log_index = $2, tree_size = $3 WHERE organisation = $1;

-- name: cases_of_party
WITH theirs AS MATERIALIZED (SELECT case_id FROM case_party WHERE organisation = $1)
SELECT record, due, moves FROM case_file WHERE case_id IN (SELECT case_id FROM theirs) ORDER BY case_id;

-- name: add_key_events
INSERT INTO key_event (organisation, log_index, tree_size)
SELECT organisation, log_index, $3 FROM unnest($1::text[], $2::bigint[]) AS new (organisation, log_index);

-- name: key_events
SELECT log_index, tree_size FROM key_event WHERE organisation = $1 ORDER BY log_index;

-- name: compromise_key
WITH marked AS (UPDATE organisation SET changed = (SELECT key_epoch + 1 FROM log_head) WHERE id = $1)
UPDATE organisation_key SET compromised = least(coalesce(compromised, $3), $3) WHERE organisation = $1 AND kid = $2;

-- name: delegations
SELECT organisation, statement, log_index, ended FROM delegation ORDER BY log_index;

-- name: delegations_of
SELECT organisation, statement, log_index, ended FROM delegation
WHERE organisation = ANY($1::text[]) ORDER BY log_index;

-- name: delegation
SELECT organisation, statement, log_index, tree_size, ended, ended_index, ended_size FROM delegation WHERE id = $1;

-- name: add_delegation
WITH marked AS (UPDATE organisation SET changed = (SELECT key_epoch + 1 FROM log_head) WHERE id = $2)
INSERT INTO delegation (id, organisation, statement, log_index, tree_size) VALUES ($1, $2, $3, $4, $5);

-- name: end_delegation
WITH marked AS (UPDATE organisation SET changed = (SELECT key_epoch + 1 FROM log_head) WHERE id IN (SELECT organisation FROM delegation WHERE delegation.id = $1))
UPDATE delegation SET ended = $2, ended_index = $3, ended_size = $4 WHERE id = $1;

-- name: key_words
SELECT event.log_index, event.tree_size, entry.leaf
FROM key_event AS event JOIN log_entry AS entry ON entry.index = event.log_index
WHERE event.organisation = $1 ORDER BY event.log_index;

-- Where the log speaks of an organisation's keys, so that each key can be proven with its own entry.
CREATE TABLE key_event (
    organisation text NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    PRIMARY KEY (organisation, log_index)
);
INSERT INTO key_event (organisation, log_index, tree_size)
SELECT convert_from(leaf, 'UTF8')::jsonb ->> 'organisation', index,
    (SELECT min(size) FROM log_checkpoint WHERE size > index)
FROM log_entry WHERE leaf LIKE '{"kind":"key-%';

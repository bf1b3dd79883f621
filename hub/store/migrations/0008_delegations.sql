-- Who lets whom sign for it, by its own signed word.
CREATE TABLE delegation (
    id uuid PRIMARY KEY,
    organisation text NOT NULL REFERENCES organisation (id),
    statement text NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    ended timestamptz,
    ended_index bigint,
    ended_size bigint
);

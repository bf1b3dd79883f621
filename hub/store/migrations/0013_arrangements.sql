-- Entries of the log by which due dates are counted: holiday arrangements and outages. What they say is in the entry;
-- `carried_out` once every case that it moves has its own entry.
CREATE TABLE arrangement (
    log_index bigint PRIMARY KEY,
    tree_size bigint NOT NULL,
    carried_out boolean NOT NULL DEFAULT false
);

-- Entries that moved a case's due dates without a message.
CREATE TABLE due_change (
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    PRIMARY KEY (case_id, log_index)
);

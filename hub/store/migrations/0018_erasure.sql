-- What was erased, by the entry of the log that says so: a case up to that entry, or a month of which `kept` messages,
-- of cases that were not ended, were kept.
CREATE TABLE erasure (
    log_index bigint PRIMARY KEY,
    case_id uuid,
    month date,
    kept bigint,
    at timestamptz NOT NULL,
    CHECK ((case_id IS NULL) <> (month IS NULL) AND (month IS NULL) = (kept IS NULL))
);
CREATE INDEX erasure_case ON erasure (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX erasure_month ON erasure (month) WHERE month IS NOT NULL;

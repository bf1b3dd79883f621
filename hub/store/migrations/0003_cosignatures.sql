-- What witnesses signed, by the size of the log that they saw.
CREATE TABLE log_cosignature (
    size bigint NOT NULL,
    witness text NOT NULL,
    line text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (size, witness)
);

-- What is stored beside the messages, sealed by whoever sent it: where, who may read it, which message names it.
CREATE TABLE attachment (
    digest bytea PRIMARY KEY,
    size bigint NOT NULL,
    place text NOT NULL,
    uploaded timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX attachment_uploaded ON attachment (uploaded);
CREATE TABLE attachment_reader (
    digest bytea NOT NULL,
    organisation text NOT NULL,
    uploader boolean NOT NULL,
    PRIMARY KEY (digest, organisation)
);
CREATE INDEX attachment_reader_organisation ON attachment_reader (organisation);
CREATE TABLE attachment_use (
    digest bytea NOT NULL,
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (digest, log_index)
);

-- Everything a hub keeps. Each large table carries its distribution column first in its primary key
-- (cases by case_id, mailboxes by recipient, known messages by source), so that it can be spread.

CREATE TABLE organisation (
    id text PRIMARY KEY,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    superior text,
    roles text[] NOT NULL,
    algorithms text[] NOT NULL DEFAULT '{Ed25519,ES256}'
);

CREATE TABLE organisation_key (
    organisation text NOT NULL,
    kid text NOT NULL,
    jwk text NOT NULL,
    added timestamptz NOT NULL,
    removed timestamptz,
    PRIMARY KEY (organisation, kid)
);

-- `record` is the flow engine's own value of the case; the columns beside it serve lists and statistics.
CREATE TABLE case_file (
    case_id uuid PRIMARY KEY,
    protocol text NOT NULL,
    version text NOT NULL,
    state text NOT NULL,
    opener text NOT NULL,
    responder text NOT NULL,
    due date,
    opened timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    record text NOT NULL
);

CREATE TABLE case_step (
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    source text NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    state_before text,
    state_after text NOT NULL,
    due date,
    provisional boolean NOT NULL,
    accepted timestamptz NOT NULL,
    PRIMARY KEY (case_id, log_index)
);

CREATE TABLE case_party (
    organisation text NOT NULL,
    case_id uuid NOT NULL,
    PRIMARY KEY (organisation, case_id)
);

CREATE TABLE message (
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    accepted timestamptz NOT NULL,
    jws bytea NOT NULL,
    PRIMARY KEY (case_id, log_index, accepted)
) PARTITION BY RANGE (accepted);
ALTER TABLE message ALTER COLUMN jws SET STORAGE EXTERNAL;
CREATE TABLE message_default PARTITION OF message DEFAULT;

-- Outlives the content of `message`: a message that comes again years later is still known.
CREATE TABLE message_key (
    source text NOT NULL,
    id uuid NOT NULL,
    signing_input bytea NOT NULL,
    digest bytea NOT NULL,
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    accepted timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);

CREATE TABLE mailbox_counter (
    recipient text PRIMARY KEY,
    last bigint NOT NULL DEFAULT 0,
    handed bigint NOT NULL DEFAULT 0,
    fetched bigint NOT NULL DEFAULT 0,
    acknowledged bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE mailbox (
    recipient text NOT NULL,
    position bigint NOT NULL,
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    source text NOT NULL,
    id uuid NOT NULL,
    digest bytea NOT NULL,
    accepted timestamptz NOT NULL,
    expires timestamptz,
    expired boolean NOT NULL DEFAULT false,
    PRIMARY KEY (recipient, position)
);
CREATE INDEX mailbox_expiring ON mailbox (expires) WHERE expires IS NOT NULL AND NOT expired;

-- What was fetched, acknowledged or expired, by range of positions.
CREATE TABLE mailbox_mark (
    recipient text NOT NULL,
    through bigint NOT NULL,
    kind text NOT NULL,
    first bigint NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    PRIMARY KEY (recipient, kind, through)
);

CREATE TABLE log_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    hub text NOT NULL,
    origin text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL,
    key_epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE log_entry (
    index bigint PRIMARY KEY,
    leaf bytea NOT NULL
);

-- Complete tiles only: what is incomplete at the right edge is worked out from the entries.
CREATE TABLE log_tile (
    level smallint NOT NULL,
    index bigint NOT NULL,
    hashes bytea NOT NULL,
    root bytea NOT NULL,
    PRIMARY KEY (level, index)
);

CREATE TABLE log_checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL
);

-- Hubs of other provinces that this one exchanges messages with. `taken` is the last place of its list for us whose
-- message was dealt with, `learned` the last entry of its log that was, `scanned` how far its log was looked through.
CREATE TABLE neighbour (
    hub text PRIMARY KEY,
    url text NOT NULL,
    divisions text[],
    departments text[],
    expires timestamptz NOT NULL,
    ended timestamptz,
    log_index bigint NOT NULL,
    taken bigint NOT NULL DEFAULT 0,
    learned bigint NOT NULL DEFAULT -1,
    scanned bigint NOT NULL DEFAULT 0
);

-- The hub that an organisation speaks to, where that is another one.
ALTER TABLE organisation ADD COLUMN home text;

-- What was carried between hubs: `way` is `home` (taken here, from another hub), `up` (on its way to its home), `down`
-- (taken by its home, repeated here), `refused` (not taken here), `returned` (not taken by its home). `there_index` is
-- the other hub's entry, `receipts` are those of the hubs that it passed, as they came.
CREATE TABLE relay (
    case_id uuid NOT NULL,
    log_index bigint NOT NULL,
    tree_size bigint NOT NULL,
    source text NOT NULL,
    id uuid NOT NULL,
    way text NOT NULL,
    hub text NOT NULL,
    there_index bigint,
    problem text,
    receipts text NOT NULL,
    PRIMARY KEY (case_id, log_index)
);

-- Where a mailbox position of ours is in the recipient's own hub.
CREATE TABLE position_there (
    recipient text NOT NULL,
    there bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (recipient, there)
);

-- The proofs of other hubs' entries that entries of ours name.
CREATE TABLE proof_there (
    hub text NOT NULL,
    log_index bigint NOT NULL,
    proof text NOT NULL,
    PRIMARY KEY (hub, log_index)
);

-- Cases that were opened about another case, found from that one.
CREATE TABLE case_link (
    about uuid NOT NULL,
    case_id uuid NOT NULL,
    PRIMARY KEY (about, case_id)
);

-- Cases that the hub itself is to look at, from when on: one row a case, gone when there is nothing left to do.
CREATE TABLE hub_duty (
    case_id uuid PRIMARY KEY,
    log_index bigint NOT NULL,
    ready date NOT NULL
);
CREATE INDEX hub_duty_ready ON hub_duty (ready);

-- Which department reported on which month to whom, and in which cases.
CREATE TABLE bulletin (
    lead text NOT NULL,
    period text NOT NULL,
    reporter text NOT NULL,
    case_id uuid NOT NULL,
    PRIMARY KEY (lead, period, reporter, case_id)
);

-- Who stands in whose place, from which day on; `log_index` once it has happened.
CREATE TABLE succession (
    organisation text PRIMARY KEY,
    successor text NOT NULL,
    effective date NOT NULL,
    log_index bigint,
    tree_size bigint
);

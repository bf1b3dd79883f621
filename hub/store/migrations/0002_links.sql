-- Cases that were opened about another case, found from that one.
CREATE TABLE case_link (
    about uuid NOT NULL,
    case_id uuid NOT NULL,
    PRIMARY KEY (about, case_id)
);

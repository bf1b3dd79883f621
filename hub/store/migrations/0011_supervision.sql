-- What each case contributes to figures, worked out from the log's entries alone (protocols/course.py). Derived:
-- `xieban recompute` makes it again from the log and says which rows differ.
CREATE TABLE case_course (
    case_id uuid PRIMARY KEY,
    protocol text NOT NULL,
    version text NOT NULL,
    opener text NOT NULL,
    responder text NOT NULL,
    state text NOT NULL,
    final boolean NOT NULL,
    opened timestamptz NOT NULL,
    opened_on date NOT NULL,
    due date,
    acknowledge_by date NOT NULL,
    acknowledged_on date,
    accept_by date NOT NULL,
    accepted_on date,
    left_by_other boolean NOT NULL,
    answered_on date,
    answer_due date,
    ended_on date,
    reopened boolean,
    -- Seconds of the stages that are over, in transit, unread, with the responder, waiting on the opener; then the
    -- same on working days only.
    transit bigint NOT NULL,
    unread bigint NOT NULL,
    responding bigint NOT NULL,
    waiting bigint NOT NULL,
    working_transit bigint NOT NULL,
    working_unread bigint NOT NULL,
    working_responding bigint NOT NULL,
    working_waiting bigint NOT NULL,
    -- The stage that lasts: what kind of time it is, whose, since when and by which entry.
    stage text,
    stage_of text, -- separated by spaces
    stage_since timestamptz,
    stage_entry bigint
);
CREATE INDEX case_course_opened ON case_course (opened_on, case_id);
CREATE INDEX case_course_due ON case_course (due) WHERE NOT final;
CREATE INDEX case_course_responder ON case_course (responder, opened_on);
CREATE INDEX case_course_opener ON case_course (opener, opened_on);
CREATE INDEX case_course_unread ON case_course (stage_since) WHERE stage IN ('transit', 'unread');
-- How far the log has been followed; the row that whoever follows it locks.
CREATE TABLE supervision_head (one boolean PRIMARY KEY DEFAULT true CHECK (one), through bigint NOT NULL);
INSERT INTO supervision_head (through) VALUES (0);

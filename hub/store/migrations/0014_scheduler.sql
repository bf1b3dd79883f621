-- Which process runs what is due on dates, and when it last said that it lives: how long the hub was away is told by it.
CREATE TABLE scheduler_lead (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    leader text,
    since timestamptz,
    seen timestamptz
);
INSERT INTO scheduler_lead DEFAULT VALUES;

-- Each job's last run, and whether somebody wants it run now.
CREATE TABLE scheduler_job (
    job text PRIMARY KEY,
    leader text,
    started timestamptz,
    ended timestamptz,
    done bigint NOT NULL DEFAULT 0,
    problem text,
    next timestamptz,
    wanted boolean NOT NULL DEFAULT false
);

-- The runs that did something, or could not.
CREATE TABLE scheduler_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    leader text NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    done bigint NOT NULL,
    problem text
);
CREATE INDEX scheduler_run_started ON scheduler_run (started);

-- The periods for which bulletins were issued to everybody.
CREATE TABLE bulletin_period (
    protocol text NOT NULL,
    last date NOT NULL,
    PRIMARY KEY (protocol, last)
);

-- What the hub tells an organisation of deadlines. Written by one process at a time, so that `id` grows as they commit.
CREATE TABLE notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient text NOT NULL,
    kind text NOT NULL,
    case_id uuid,
    due date,
    step int NOT NULL,
    about text NOT NULL,
    made timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (recipient, kind, case_id, due, step, about)
);
CREATE INDEX notice_recipient ON notice (recipient, id);
CREATE INDEX notice_case ON notice (case_id, kind, due);

ALTER TABLE due_change ADD COLUMN told boolean NOT NULL DEFAULT false;
CREATE INDEX due_change_untold ON due_change (log_index) WHERE NOT told;

-- What was foretold of a case half-way to its due date, and what came of it (null: not yet known).
CREATE TABLE prediction (
    case_id uuid PRIMARY KEY,
    made date NOT NULL,
    due date NOT NULL,
    late bigint NOT NULL,
    earlier bigint NOT NULL,
    probably_late boolean NOT NULL,
    was_late boolean
);
CREATE INDEX prediction_open ON prediction (due) WHERE was_late IS NULL;

-- How predictions came out, by the month that they were made in.
CREATE TABLE prediction_record (
    month date PRIMARY KEY,
    foretold_late bigint NOT NULL,
    came_late bigint NOT NULL,
    foretold_in_time bigint NOT NULL,
    came_in_time bigint NOT NULL,
    late bigint NOT NULL,
    settled bigint NOT NULL
);

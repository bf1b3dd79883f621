-- Cases that ended without having been signed for or taken up, which count as missed once that was due. Open ones are
-- found by case_course_due.
CREATE INDEX case_course_pending ON case_course (opened_on)
    WHERE final AND (acknowledged_on IS NULL OR (accepted_on IS NULL AND NOT left_by_other));

-- What ended cases come to, by month and protocol: all of them, by opener, by responder, by provinces (the first two
-- digits of both); protocol '' stands for all of them. Kept beside case_course by the statement that writes it.
CREATE TABLE figure_sum (
    grain text NOT NULL,
    month date NOT NULL,
    protocol text NOT NULL,
    opener text NOT NULL,
    responder text NOT NULL,
    cases bigint NOT NULL,
    answered bigint NOT NULL,
    acknowledged_met bigint NOT NULL,
    acknowledged_of bigint NOT NULL,
    accepted_met bigint NOT NULL,
    accepted_of bigint NOT NULL,
    days bigint NOT NULL,
    dated_met bigint NOT NULL,
    dated_of bigint NOT NULL,
    reopened_met bigint NOT NULL,
    reopened_of bigint NOT NULL,
    transit bigint NOT NULL,
    unread bigint NOT NULL,
    responding bigint NOT NULL,
    waiting bigint NOT NULL,
    working_transit bigint NOT NULL,
    working_unread bigint NOT NULL,
    working_responding bigint NOT NULL,
    working_waiting bigint NOT NULL,
    PRIMARY KEY (grain, month, protocol, opener, responder)
) PARTITION BY LIST (grain);
CREATE TABLE figure_sum_all PARTITION OF figure_sum FOR VALUES IN ('all');
CREATE TABLE figure_sum_opener PARTITION OF figure_sum FOR VALUES IN ('opener');
CREATE TABLE figure_sum_responder PARTITION OF figure_sum FOR VALUES IN ('responder');
CREATE TABLE figure_sum_province PARTITION OF figure_sum FOR VALUES IN ('province');
INSERT INTO figure_sum
SELECT grain, date_trunc('month', opened_on)::date AS month, by_protocol, by_opener, by_responder,
    sum(1), sum((answered_on IS NOT NULL)::int), sum(coalesce(acknowledged_on <= acknowledge_by, false)::int), sum(1),
    sum(coalesce(NOT left_by_other AND accepted_on <= accept_by, false)::int), sum((NOT left_by_other)::int),
    sum(coalesce(answered_on - opened_on, 0)), sum(coalesce(answered_on <= answer_due, false)::int),
    sum((answered_on IS NOT NULL AND answer_due IS NOT NULL)::int), sum(coalesce(reopened, false)::int),
    sum((reopened IS NOT NULL)::int), sum(transit), sum(unread), sum(responding), sum(waiting),
    sum(working_transit), sum(working_unread), sum(working_responding), sum(working_waiting)
FROM case_course AS moved CROSS JOIN LATERAL (VALUES
    ('all', '', ''), ('opener', moved.opener, ''), ('responder', '', moved.responder),
    ('province', left(moved.opener, 2), left(moved.responder, 2))
) AS grains (grain, by_opener, by_responder)
CROSS JOIN LATERAL (VALUES (moved.protocol), ('')) AS protocols (by_protocol)
WHERE final GROUP BY 1, 2, 3, 4, 5;

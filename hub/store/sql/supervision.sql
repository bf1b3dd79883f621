-- name: course_head
SELECT through FROM supervision_head;

-- name: lock_course_head
SELECT through FROM supervision_head FOR UPDATE SKIP LOCKED;

-- name: move_course_head
UPDATE supervision_head SET through = $1;

-- name: cases_at_positions
SELECT DISTINCT box.case_id FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS wanted (recipient, first, through)
JOIN mailbox AS box ON box.recipient = wanted.recipient AND box.position BETWEEN wanted.first AND wanted.through;

-- name: cases_in_year
SELECT case_id FROM case_course WHERE NOT final OR ended_on >= $1 OR acknowledge_by >= $1;

-- name: case_entries
WITH step AS MATERIALIZED (
    SELECT case_id, log_index, source, id FROM case_step WHERE case_id = ANY($1::uuid[]) AND log_index < $2
)
SELECT step.case_id, step.log_index, key.tree_size
FROM step JOIN message_key AS key ON key.source = step.source AND key.id = step.id;

-- name: marks_on
SELECT wanted.recipient, wanted.position, mark.log_index, mark.tree_size
FROM unnest($1::text[], $2::bigint[]) AS wanted (recipient, position)
CROSS JOIN unnest(ARRAY['fetched', 'acknowledged']) AS kinds (kind)
JOIN LATERAL (
    SELECT log_index, tree_size FROM mailbox_mark
    WHERE recipient = wanted.recipient AND kind = kinds.kind AND through >= wanted.position AND log_index < $3
        AND first <= wanted.position
    ORDER BY through LIMIT 1
) AS mark ON true;

-- name: set_courses
WITH new AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::timestamptz[],
        $9::date[], $10::date[], $11::date[], $12::date[], $13::date[], $14::date[], $15::boolean[], $16::date[],
        $17::date[], $18::date[], $19::boolean[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[],
        $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::text[], $29::text[], $30::timestamptz[],
        $31::bigint[]
    ) AS new (case_id, protocol, version, opener, responder, state, final, opened, opened_on, due, acknowledge_by,
            acknowledged_on, accept_by, accepted_on, left_by_other, answered_on, answer_due, ended_on, reopened, transit,
            unread, responding, waiting, working_transit, working_unread, working_responding, working_waiting, stage,
            stage_of, stage_since, stage_entry)
), before AS (
    SELECT course.* FROM case_course AS course JOIN new USING (case_id) WHERE course.final
), stored AS (
    INSERT INTO case_course SELECT * FROM new
    ON CONFLICT (case_id) DO UPDATE SET
        opener = excluded.opener, responder = excluded.responder, state = excluded.state, final = excluded.final,
        due = excluded.due, acknowledge_by = excluded.acknowledge_by, acknowledged_on = excluded.acknowledged_on,
        accepted_on = excluded.accepted_on, left_by_other = excluded.left_by_other,
        answered_on = excluded.answered_on, answer_due = excluded.answer_due, ended_on = excluded.ended_on,
        reopened = excluded.reopened, transit = excluded.transit, unread = excluded.unread,
        responding = excluded.responding, waiting = excluded.waiting, working_transit = excluded.working_transit,
        working_unread = excluded.working_unread, working_responding = excluded.working_responding,
        working_waiting = excluded.working_waiting, stage = excluded.stage, stage_of = excluded.stage_of,
        stage_since = excluded.stage_since, stage_entry = excluded.stage_entry
    RETURNING *
), moved AS (
    SELECT -1 AS sign, before.* FROM before UNION ALL SELECT 1, stored.* FROM stored WHERE final
)
INSERT INTO figure_sum AS kept
SELECT grain, date_trunc('month', opened_on)::date, by_protocol, by_opener, by_responder,
    sum(sign * 1), sum(sign * (answered_on IS NOT NULL)::int),
    sum(sign * coalesce(acknowledged_on <= acknowledge_by, false)::int), sum(sign * 1),
    sum(sign * coalesce(NOT left_by_other AND accepted_on <= accept_by, false)::int), sum(sign * (NOT left_by_other)::int),
    sum(sign * coalesce(answered_on - opened_on, 0)), sum(sign * coalesce(answered_on <= answer_due, false)::int),
    sum(sign * (answered_on IS NOT NULL AND answer_due IS NOT NULL)::int),
    sum(sign * coalesce(reopened, false)::int), sum(sign * (reopened IS NOT NULL)::int), sum(sign * transit),
    sum(sign * unread), sum(sign * responding), sum(sign * waiting), sum(sign * working_transit),
    sum(sign * working_unread), sum(sign * working_responding), sum(sign * working_waiting)
FROM moved CROSS JOIN LATERAL (VALUES
    ('all', '', ''), ('opener', moved.opener, ''), ('responder', '', moved.responder),
    ('province', left(moved.opener, 2), left(moved.responder, 2))
) AS grains (grain, by_opener, by_responder)
CROSS JOIN LATERAL (VALUES (moved.protocol), ('')) AS protocols (by_protocol)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (grain, month, protocol, opener, responder) DO UPDATE SET
    cases = kept.cases + excluded.cases, answered = kept.answered + excluded.answered,
    acknowledged_met = kept.acknowledged_met + excluded.acknowledged_met,
    acknowledged_of = kept.acknowledged_of + excluded.acknowledged_of,
    accepted_met = kept.accepted_met + excluded.accepted_met,
    accepted_of = kept.accepted_of + excluded.accepted_of, days = kept.days + excluded.days,
    dated_met = kept.dated_met + excluded.dated_met, dated_of = kept.dated_of + excluded.dated_of,
    reopened_met = kept.reopened_met + excluded.reopened_met,
    reopened_of = kept.reopened_of + excluded.reopened_of, transit = kept.transit + excluded.transit,
    unread = kept.unread + excluded.unread, responding = kept.responding + excluded.responding,
    waiting = kept.waiting + excluded.waiting, working_transit = kept.working_transit + excluded.working_transit,
    working_unread = kept.working_unread + excluded.working_unread,
    working_responding = kept.working_responding + excluded.working_responding,
    working_waiting = kept.working_waiting + excluded.working_waiting;

-- name: figures
WITH chosen AS (
    -- Whole seconds, worked out in integers: microseconds of China since 1970, and of them those on working days. The
    -- n-th day counted is $8 - 1 + n days after 1970.
    SELECT course.*, ($7::bigint - began) / 1000000 AS lasting,
        ($11::bigint - 1000000 * ($9::bigint[])[began / 86400000000 - $8::bigint + 1]
            - CASE WHEN ($10::boolean[])[began / 86400000000 - $8 + 1] THEN began % 86400000000 ELSE 0 END)
            / 1000000 AS worked
    FROM case_course AS course CROSS JOIN LATERAL (
        SELECT round(1000000 * date_part('epoch', stage_since))::bigint + 28800000000 AS began
    ) AS stage_of_it
    WHERE opened_on BETWEEN $1 AND $2 AND {which} AND ($4::text IS NULL OR protocol = $4)
        AND ($12::text IS NULL OR opener BETWEEN $12 AND $13) AND ($14::text IS NULL OR responder BETWEEN $14 AND $15)
)
SELECT CASE WHEN $5 IN ('pair', 'opener') THEN opener WHEN $16 > 0 THEN left(opener, $16) END AS opener,
    CASE WHEN $5 IN ('pair', 'responder') THEN responder WHEN $16 > 0 THEN left(responder, $16) END AS responder,
    CASE WHEN $5 = 'month' THEN to_char(opened_on, 'YYYY-MM') END AS month,
    CASE WHEN $5 = 'protocol' THEN protocol END AS protocol,
    count(*) AS cases,
    count(*) FILTER (WHERE NOT final) AS open,
    count(*) FILTER (WHERE NOT final AND due < $6) AS overdue,
    count(answered_on) AS answered,
    count(*) FILTER (WHERE acknowledged_on <= acknowledge_by) AS acknowledged_met,
    count(*) FILTER (WHERE acknowledged_on IS NOT NULL OR acknowledge_by < $6) AS acknowledged_of,
    count(*) FILTER (WHERE NOT left_by_other AND accepted_on <= accept_by) AS accepted_met,
    count(*) FILTER (WHERE NOT left_by_other AND (accepted_on IS NOT NULL OR accept_by < $6)) AS accepted_of,
    coalesce(sum(answered_on - opened_on), 0) AS days,
    count(*) FILTER (WHERE answered_on <= answer_due) AS dated_met,
    count(*) FILTER (WHERE CASE WHEN answered_on IS NULL THEN NOT final AND due < $6 ELSE answer_due IS NOT NULL END)
        AS dated_of,
    count(*) FILTER (WHERE reopened) AS reopened_met,
    count(reopened) AS reopened_of,
    (sum(transit) + coalesce(sum(lasting) FILTER (WHERE stage = 'transit'), 0))::bigint AS transit,
    (sum(unread) + coalesce(sum(lasting) FILTER (WHERE stage = 'unread'), 0))::bigint AS unread,
    (sum(responding) + coalesce(sum(lasting) FILTER (WHERE stage = 'responder'), 0))::bigint AS responding,
    (sum(waiting) + coalesce(sum(lasting) FILTER (WHERE stage = 'opener'), 0))::bigint AS waiting,
    (sum(working_transit) + coalesce(sum(worked) FILTER (WHERE stage = 'transit'), 0))::bigint AS working_transit,
    (sum(working_unread) + coalesce(sum(worked) FILTER (WHERE stage = 'unread'), 0))::bigint AS working_unread,
    (sum(working_responding) + coalesce(sum(worked) FILTER (WHERE stage = 'responder'), 0))::bigint AS working_responding,
    (sum(working_waiting) + coalesce(sum(worked) FILTER (WHERE stage = 'opener'), 0))::bigint AS working_waiting
FROM chosen GROUP BY 1, 2, 3, 4;

-- name: in_sight
(opener = ANY($3::text[]) OR responder = ANY($3::text[]))

-- name: out_of_sight
(opener = ANY($3::text[]) AND responder = ANY($3::text[]))

-- name: open
($3::text[] IS NOT NULL AND NOT final)

-- name: ended
($3::text[] IS NOT NULL AND final)

-- name: not_yet_missed
SELECT CASE WHEN $2 IN ('pair', 'opener') THEN opener WHEN $3 > 0 THEN left(opener, $3) END AS opener,
    CASE WHEN $2 IN ('pair', 'responder') THEN responder WHEN $3 > 0 THEN left(responder, $3) END AS responder,
    CASE WHEN $2 = 'month' THEN to_char(opened_on, 'YYYY-MM') END AS month,
    CASE WHEN $2 = 'protocol' THEN protocol END AS protocol,
    count(*) FILTER (WHERE acknowledged_on IS NULL AND acknowledge_by >= $1) AS acknowledged_of,
    count(*) FILTER (WHERE accepted_on IS NULL AND NOT left_by_other AND accept_by >= $1) AS accepted_of
FROM case_course
WHERE final AND (acknowledged_on IS NULL OR (accepted_on IS NULL AND NOT left_by_other))
    AND opened_on BETWEEN greatest($4::date, $1 - 60) AND $5 AND ($6::text IS NULL OR protocol = $6)
GROUP BY 1, 2, 3, 4;

-- name: figure_sums
SELECT CASE WHEN $2 IN ('opener', 'province') THEN opener END AS opener,
    CASE WHEN $2 IN ('responder', 'province') THEN responder END AS responder,
    CASE WHEN $2 = 'month' THEN to_char(month, 'YYYY-MM') END AS month,
    CASE WHEN $2 = 'protocol' THEN protocol END AS protocol,
    sum(cases)::bigint AS cases, 0 AS open, 0 AS overdue, sum(answered)::bigint AS answered,
    sum(acknowledged_met)::bigint AS acknowledged_met, sum(acknowledged_of)::bigint AS acknowledged_of,
    sum(accepted_met)::bigint AS accepted_met, sum(accepted_of)::bigint AS accepted_of, sum(days)::bigint AS days,
    sum(dated_met)::bigint AS dated_met, sum(dated_of)::bigint AS dated_of,
    sum(reopened_met)::bigint AS reopened_met, sum(reopened_of)::bigint AS reopened_of,
    sum(transit)::bigint AS transit, sum(unread)::bigint AS unread, sum(responding)::bigint AS responding,
    sum(waiting)::bigint AS waiting, sum(working_transit)::bigint AS working_transit,
    sum(working_unread)::bigint AS working_unread, sum(working_responding)::bigint AS working_responding,
    sum(working_waiting)::bigint AS working_waiting
FROM figure_sum
WHERE grain = $1 AND month BETWEEN $3 AND $4
    AND CASE WHEN $2 = 'protocol' AND $5::text IS NULL THEN protocol <> '' ELSE protocol = coalesce($5, '') END
GROUP BY 1, 2, 3, 4;

-- name: figure_cases
SELECT * FROM case_course
WHERE opened_on BETWEEN $1 AND $2 AND (opener = ANY($3::text[]) OR responder = ANY($3::text[]))
    AND ($4::text IS NULL OR protocol = $4) AND ($5::text IS NULL OR opener BETWEEN $5 AND $6)
    AND ($7::text IS NULL OR responder BETWEEN $7 AND $8) AND ($9::uuid IS NULL OR case_id > $9)
ORDER BY case_id LIMIT $10;

-- name: organisation_ids
SELECT id FROM organisation;

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
SELECT step.case_id, step.log_index, key.tree_size FROM case_step AS step
JOIN message_key AS key ON (key.source, key.id) = (step.source, step.id)
WHERE step.case_id = ANY($1::uuid[]) AND step.log_index < $2;

-- name: marks_on
SELECT wanted.recipient, wanted.position, mark.log_index, mark.tree_size
FROM unnest($1::text[], $2::bigint[]) AS wanted (recipient, position)
CROSS JOIN unnest(ARRAY['fetched', 'acknowledged']) AS kinds (kind)
JOIN LATERAL (
    SELECT log_index, tree_size FROM mailbox_mark
    WHERE recipient = wanted.recipient AND kind = kinds.kind AND through >= wanted.position AND log_index < $3
    ORDER BY through LIMIT 1
) AS mark ON true;

-- name: set_courses
INSERT INTO case_course
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[],
    $8::timestamptz[], $9::date[], $10::date[], $11::date[], $12::date[], $13::date[], $14::date[], $15::boolean[],
    $16::date[], $17::date[], $18::date[], $19::boolean[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[],
    $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::text[], $29::text[], $30::timestamptz[],
    $31::bigint[])
    AS new (case_id, protocol, version, opener, responder, state, final, opened, opened_on, due, acknowledge_by,
        acknowledged_on, accept_by, accepted_on, left_by_other, answered_on, answer_due, ended_on, reopened, transit,
        unread, responding, waiting, working_transit, working_unread, working_responding, working_waiting, stage,
        stage_of, stage_since, stage_entry)
ON CONFLICT (case_id) DO UPDATE SET opener = excluded.opener, responder = excluded.responder, state = excluded.state,
    final = excluded.final, due = excluded.due, acknowledged_on = excluded.acknowledged_on,
    accepted_on = excluded.accepted_on, left_by_other = excluded.left_by_other, answered_on = excluded.answered_on,
    answer_due = excluded.answer_due, ended_on = excluded.ended_on, reopened = excluded.reopened,
    transit = excluded.transit, unread = excluded.unread, responding = excluded.responding, waiting = excluded.waiting,
    working_transit = excluded.working_transit, working_unread = excluded.working_unread,
    working_responding = excluded.working_responding, working_waiting = excluded.working_waiting,
    stage = excluded.stage, stage_of = excluded.stage_of, stage_since = excluded.stage_since,
    stage_entry = excluded.stage_entry;

-- name: courses
SELECT * FROM case_course WHERE case_id = ANY($1::uuid[]);

-- name: course_ids
SELECT case_id FROM case_course WHERE $1::uuid IS NULL OR case_id > $1 ORDER BY case_id LIMIT $2;

-- name: figures
WITH calendar AS (
    SELECT * FROM unnest($8::date[], $9::bigint[], $10::boolean[]) AS one (day, before, works)
), chosen AS (
    SELECT course.*, extract(epoch FROM $7::timestamptz - stage_since) AS lasting,
        $11::numeric - calendar.before - CASE WHEN calendar.works
            THEN extract(epoch FROM (stage_since AT TIME ZONE 'Asia/Shanghai') - calendar.day) ELSE 0 END AS worked
    FROM case_course AS course
    LEFT JOIN calendar ON calendar.day = greatest((stage_since AT TIME ZONE 'Asia/Shanghai')::date, $12::date)
    WHERE opened_on BETWEEN $1 AND $2 AND (opener = ANY($3::text[]) OR responder = ANY($3::text[]))
        AND ($4::text IS NULL OR protocol = $4) AND ($13::text IS NULL OR opener = $13)
        AND ($14::text IS NULL OR responder = $14)
)
SELECT CASE WHEN $5 IN ('pair', 'opener') THEN opener END AS opener,
    CASE WHEN $5 IN ('pair', 'responder') THEN responder END AS responder,
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
    sum(transit + CASE WHEN stage = 'transit' THEN floor(lasting) ELSE 0 END)::bigint AS transit,
    sum(unread + CASE WHEN stage = 'unread' THEN floor(lasting) ELSE 0 END)::bigint AS unread,
    sum(responding + CASE WHEN stage = 'responder' THEN floor(lasting) ELSE 0 END)::bigint AS responding,
    sum(waiting + CASE WHEN stage = 'opener' THEN floor(lasting) ELSE 0 END)::bigint AS waiting,
    sum(working_transit + CASE WHEN stage = 'transit' THEN floor(worked) ELSE 0 END)::bigint AS working_transit,
    sum(working_unread + CASE WHEN stage = 'unread' THEN floor(worked) ELSE 0 END)::bigint AS working_unread,
    sum(working_responding + CASE WHEN stage = 'responder' THEN floor(worked) ELSE 0 END)::bigint AS working_responding,
    sum(working_waiting + CASE WHEN stage = 'opener' THEN floor(worked) ELSE 0 END)::bigint AS working_waiting
FROM chosen GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: figure_cases
SELECT * FROM case_course
WHERE opened_on BETWEEN $1 AND $2 AND (opener = ANY($3::text[]) OR responder = ANY($3::text[]))
    AND ($4::text IS NULL OR protocol = $4) AND ($5::text IS NULL OR opener = $5)
    AND ($6::text IS NULL OR responder = $6) AND ($7::uuid IS NULL OR case_id > $7)
ORDER BY case_id LIMIT $8;

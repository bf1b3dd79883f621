-- name: lock_lead
SELECT leader, since, seen, clock_timestamp() AS now FROM scheduler_lead FOR UPDATE;

-- name: take_lead
UPDATE scheduler_lead SET leader = $1, since = CASE WHEN leader = $1 THEN since ELSE clock_timestamp() END,
    seen = clock_timestamp();

-- name: hold_lead
SELECT leader FROM scheduler_lead WHERE leader = $1 FOR UPDATE;

-- name: leave_lead
UPDATE scheduler_lead SET leader = NULL, seen = clock_timestamp() WHERE leader = $1;

-- name: lead
SELECT leader, since, seen, clock_timestamp() AS now FROM scheduler_lead;

-- name: jobs_wanted
UPDATE scheduler_job SET wanted = false WHERE wanted RETURNING job;

-- name: want_job
INSERT INTO scheduler_job (job, wanted) VALUES ($1, true) ON CONFLICT (job) DO UPDATE SET wanted = true;

-- name: job_ran
WITH run AS (
    INSERT INTO scheduler_run (job, leader, started, ended, done, problem)
    SELECT $1, $2, $3, $4, $5, $6 WHERE $5::bigint > 0 OR $6::text IS NOT NULL
)
INSERT INTO scheduler_job (job, leader, started, ended, done, problem, next) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (job) DO UPDATE SET leader = excluded.leader, started = excluded.started, ended = excluded.ended,
    done = excluded.done, problem = excluded.problem, next = excluded.next;

-- name: jobs
SELECT job, leader, started, ended, done, problem, next, wanted FROM scheduler_job ORDER BY job;

-- name: runs
SELECT job, leader, started, ended, done, problem FROM scheduler_run
WHERE $1::text IS NULL OR job = $1 ORDER BY id DESC LIMIT $2;

-- name: forget_old_work
WITH notices AS (DELETE FROM notice WHERE made < $1),
    predictions AS (DELETE FROM prediction WHERE was_late IS NOT NULL AND made < $1::timestamptz::date)
DELETE FROM scheduler_run WHERE started < $1;

-- name: remind
WITH told AS (
    INSERT INTO notice (recipient, kind, case_id, due, step, about, made)
    SELECT name, 'due-soon', course.case_id, course.due, wanted.step, '', clock_timestamp()
    FROM unnest($1::date[], $2::int[]) AS wanted (due, step)
    JOIN case_course AS course ON course.due = wanted.due AND NOT course.final
    CROSS JOIN LATERAL unnest(string_to_array(course.stage_of, ' ')) AS name
    WHERE name <> $3 AND NOT EXISTS (
        SELECT FROM notice WHERE recipient = name AND kind = 'due-soon' AND case_id = course.case_id
            AND notice.due = course.due AND step <= wanted.step
    )
    ORDER BY course.due, course.case_id LIMIT $4
    ON CONFLICT DO NOTHING RETURNING recipient
)
SELECT count(*) FROM told;

-- name: mark_overdue
WITH late AS (
    SELECT case_id, due, opener, responder, stage_of FROM case_course AS course
    WHERE NOT final AND due < $1 AND NOT EXISTS (
        SELECT FROM notice WHERE case_id = course.case_id AND kind = 'overdue' AND notice.due = course.due
    )
    ORDER BY due, case_id LIMIT $3
), told AS (
    INSERT INTO notice (recipient, kind, case_id, due, step, about, made)
    SELECT DISTINCT name, 'overdue', case_id, due, 0, stage_of, clock_timestamp() FROM late
    CROSS JOIN LATERAL unnest(string_to_array(stage_of, ' ') || ARRAY[opener, responder]) AS name WHERE name <> $2
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM late;

-- name: escalate
WITH late AS (
    SELECT case_id, due, name, organisation.superior FROM case_course AS course
    CROSS JOIN LATERAL unnest(string_to_array(course.stage_of, ' ')) AS name
    JOIN organisation ON organisation.id = name
    WHERE NOT final AND due <= $1 AND organisation.superior IS NOT NULL AND NOT EXISTS (
        SELECT FROM notice WHERE recipient = organisation.superior AND case_id = course.case_id AND kind = 'escalated'
            AND notice.due = course.due AND about = name
    )
    ORDER BY due, case_id, name LIMIT $2
), told AS (
    INSERT INTO notice (recipient, kind, case_id, due, step, about, made)
    SELECT superior, 'escalated', case_id, due, 0, name, clock_timestamp() FROM late ON CONFLICT DO NOTHING
)
SELECT count(*) FROM late;

-- name: tell_moves
WITH moves AS (
    SELECT change.case_id, change.log_index, course.due, course.opener, course.responder FROM due_change AS change
    JOIN case_course AS course USING (case_id)
    WHERE NOT told AND change.log_index < (SELECT through FROM supervision_head) ORDER BY change.log_index LIMIT $2
), told AS (
    INSERT INTO notice (recipient, kind, case_id, due, step, about, made)
    SELECT DISTINCT name, 'due-changed', case_id, due, 0, '', clock_timestamp() FROM moves
    CROSS JOIN LATERAL unnest(ARRAY[opener, responder]) AS name WHERE name <> $1
    ON CONFLICT DO NOTHING
), marked AS (
    UPDATE due_change SET told = true FROM moves
    WHERE (due_change.case_id, due_change.log_index) = (moves.case_id, moves.log_index)
)
SELECT count(*) FROM moves;

-- name: tell_missing
WITH told AS (
    INSERT INTO notice (recipient, kind, case_id, due, step, about, made)
    SELECT reporter, 'bulletin-missing', NULL, $2, 0, $3, clock_timestamp() FROM unnest($1::text[]) AS reporter
    ON CONFLICT DO NOTHING RETURNING recipient
)
SELECT count(*) FROM told;

-- name: notices
SELECT id, recipient, kind, case_id, due, step, about, made FROM notice
WHERE recipient = ANY($1::text[]) AND id > $2 ORDER BY id LIMIT $3;

-- name: bulletin_leads
SELECT DISTINCT lead FROM bulletin WHERE period >= $1 ORDER BY lead;

-- name: bulletin_periods
SELECT max(last) FROM bulletin_period WHERE protocol = $1;

-- name: bulletin_period_done
INSERT INTO bulletin_period (protocol, last) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: predict
WITH asked AS (
    SELECT case_id, opener, responder, protocol, opened_on, due FROM case_course AS course
    WHERE NOT final AND answered_on IS NULL AND stage IS NOT NULL AND due >= $1
        AND $1 - opened_on >= (due - opened_on + 1) / 2
        AND NOT EXISTS (SELECT FROM prediction WHERE prediction.case_id = course.case_id)
        AND ($4::date IS NULL OR (due, case_id) > ($4, $5::uuid))
    ORDER BY due, case_id LIMIT $2
), made AS (
    INSERT INTO prediction (case_id, made, due, late, earlier, probably_late)
    SELECT asked.case_id, $1, asked.due, past.late, past.earlier, 2 * past.late >= past.earlier
    FROM asked CROSS JOIN LATERAL (
        SELECT count(*) AS earlier,
            count(*) FILTER (WHERE CASE WHEN answered_on IS NULL THEN true ELSE answered_on > answer_due END) AS late
        FROM case_course AS other
        WHERE other.responder = asked.responder AND other.opener = asked.opener AND other.protocol = asked.protocol
            AND other.opened_on >= $1 - 366 AND other.case_id <> asked.case_id
            AND (other.answered_on IS NOT NULL OR (NOT other.final AND other.due < $1))
            AND coalesce(other.answered_on, $1) - other.opened_on > $1 - asked.opened_on
    ) AS past
    WHERE past.earlier >= $3 RETURNING case_id
)
SELECT due, case_id, (SELECT count(*) FROM made) AS made FROM asked ORDER BY due DESC, case_id DESC LIMIT 1;

-- name: settle_predictions
WITH known AS (
    UPDATE prediction SET was_late = CASE WHEN course.answered_on IS NULL THEN true
        ELSE course.answered_on > coalesce(course.answer_due, prediction.due) END
    FROM case_course AS course
    WHERE course.case_id = prediction.case_id AND was_late IS NULL
        AND (course.answered_on IS NOT NULL OR course.due < $1)
    RETURNING made, probably_late, was_late
)
INSERT INTO prediction_record AS kept
SELECT date_trunc('month', made)::date, count(*) FILTER (WHERE probably_late),
    count(*) FILTER (WHERE probably_late AND was_late), count(*) FILTER (WHERE NOT probably_late),
    count(*) FILTER (WHERE NOT probably_late AND NOT was_late), count(*) FILTER (WHERE was_late), count(*)
FROM known GROUP BY 1
ON CONFLICT (month) DO UPDATE SET foretold_late = kept.foretold_late + excluded.foretold_late,
    came_late = kept.came_late + excluded.came_late,
    foretold_in_time = kept.foretold_in_time + excluded.foretold_in_time,
    came_in_time = kept.came_in_time + excluded.came_in_time, late = kept.late + excluded.late,
    settled = kept.settled + excluded.settled;

-- name: forget_predictions
DELETE FROM prediction USING case_course AS course
WHERE course.case_id = prediction.case_id AND was_late IS NULL AND course.final AND course.answered_on IS NULL;

-- name: predictions
SELECT course.case_id, course.protocol, course.opener, course.responder, course.due, foretold.late, foretold.earlier,
    foretold.made, count(*) OVER () AS many
FROM prediction AS foretold JOIN case_course AS course USING (case_id)
WHERE was_late IS NULL AND probably_late AND NOT course.final AND course.answered_on IS NULL AND course.due >= $2
    AND (course.opener = ANY($1::text[]) OR course.responder = ANY($1::text[]))
ORDER BY course.due, course.case_id LIMIT $3;

-- name: prediction_record
SELECT coalesce(sum(foretold_late), 0)::bigint AS foretold_late, coalesce(sum(came_late), 0)::bigint AS came_late,
    coalesce(sum(foretold_in_time), 0)::bigint AS foretold_in_time,
    coalesce(sum(came_in_time), 0)::bigint AS came_in_time, coalesce(sum(late), 0)::bigint AS late,
    coalesce(sum(settled), 0)::bigint AS settled
FROM prediction_record WHERE month >= $1;

-- name: vitals
SELECT clock_timestamp() AS now, head.size, supervision_head.through, lead.seen,
    (SELECT count(*) FROM scheduler_job WHERE problem IS NOT NULL) AS failing
FROM log_head AS head, supervision_head, scheduler_lead AS lead;

-- name: mark
SELECT head.origin, head.size, supervision_head.through FROM log_head AS head, supervision_head;

-- A log that went on under a second origin is not read by an older version, which knows one.
DO $$
BEGIN
    IF (SELECT count(*) FROM log_origin) > 1 OR (SELECT epoch_base FROM log_head) > 0 THEN
        RAISE EXCEPTION 'this log went on under a new origin, of which an older version knows nothing';
    END IF;
END
$$;
DROP TABLE log_origin;
ALTER TABLE neighbour DROP COLUMN origin;
ALTER TABLE log_head DROP COLUMN epoch_base;

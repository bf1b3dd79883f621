-- How often a case was written: who has read an older state than the one there must not write over it.
ALTER TABLE case_file ADD COLUMN moves bigint NOT NULL DEFAULT 0;

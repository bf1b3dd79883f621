ALTER TABLE case_file DROP COLUMN moves;

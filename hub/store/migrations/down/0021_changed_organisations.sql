ALTER TABLE organisation DROP COLUMN changed;

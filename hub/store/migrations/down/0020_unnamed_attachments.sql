ALTER TABLE attachment_reader DROP COLUMN unnamed;

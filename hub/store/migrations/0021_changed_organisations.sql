-- Since which key epoch an organisation is as it is: of a country's, only those that changed are read again.
ALTER TABLE organisation ADD COLUMN changed bigint NOT NULL DEFAULT 0;
CREATE INDEX organisation_changed ON organisation (changed);

-- Since when somebody else may have had the key.
ALTER TABLE organisation_key ADD COLUMN compromised timestamptz;

-- Which uploads no message names yet: they are few, however many attachments there are.
ALTER TABLE attachment_reader ADD COLUMN unnamed boolean NOT NULL DEFAULT false;
UPDATE attachment_reader SET unnamed = true
WHERE uploader AND NOT EXISTS (SELECT FROM attachment_use AS used WHERE used.digest = attachment_reader.digest);
CREATE INDEX attachment_reader_unnamed ON attachment_reader (organisation) WHERE unnamed;

-- Every version of a protocol that this hub ever worked by: cases may follow it, so it must not go.
CREATE TABLE protocol_offered (
    protocol text NOT NULL,
    version text NOT NULL,
    PRIMARY KEY (protocol, version)
);
INSERT INTO protocol_offered SELECT DISTINCT protocol, version FROM case_file;

"""Faults to be found, each with the rule that it breaks: statements, and changes of the schema."""

from typing import NamedTuple


class Statement(NamedTuple):
    """A statement that breaks one rule; `refused` where Citus itself answers it with an error."""

    rule: str
    text: str
    refused: bool


STATEMENTS = (
    Statement("unknown-table", "SELECT 1 FROM ledger", True),
    Statement("here-beside-spread", "SELECT 1 FROM mailbox JOIN mailbox_counter USING (recipient)", False),
    Statement(
        "here-beside-spread",
        "SELECT 1 FROM hub_duty WHERE EXISTS (SELECT FROM case_file WHERE case_file.case_id = hub_duty.case_id)",
        True,
    ),
    Statement(
        "here-beside-spread",
        "SELECT 1 FROM case_file WHERE EXISTS (SELECT FROM hub_duty AS duty WHERE duty.case_id = case_file.case_id)",
        True,
    ),
    Statement(
        "not-together",
        "SELECT 1 FROM case_step AS step JOIN message_key AS key ON (key.source, key.id) = (step.source, step.id)"
        " WHERE step.case_id = $1",
        True,
    ),
    Statement("not-together", "SELECT 1 FROM case_file, message WHERE case_file.opened = message.accepted", True),
    Statement(
        "not-together",
        "SELECT 1 FROM case_file WHERE EXISTS (SELECT FROM message WHERE message.accepted = case_file.opened)",
        True,
    ),
    Statement(
        "not-together",
        "UPDATE case_file SET state = 'open' FROM mailbox WHERE mailbox.case_id = case_file.case_id",
        True,
    ),
    Statement("not-together", "DELETE FROM message USING mailbox WHERE mailbox.log_index = message.log_index", True),
    Statement(
        "correlated-with-derived",
        "SELECT wanted FROM unnest($1::uuid[]) AS wanted"
        " WHERE EXISTS (SELECT FROM case_file WHERE case_file.case_id = wanted)",
        True,
    ),
    Statement(
        "lateral",
        "SELECT box.position FROM unnest($1::text[]) AS who CROSS JOIN LATERAL ("
        "SELECT position FROM mailbox WHERE recipient = who ORDER BY position LIMIT 1) AS box",
        True,
    ),
    Statement(
        "not-together",
        "SELECT 1 FROM case_step AS step LEFT JOIN message ON message.log_index = step.log_index",
        True,
    ),
    Statement(
        "outer-join",
        "SELECT 1 FROM unnest($1::uuid[]) AS wanted (id) LEFT JOIN case_file AS file ON file.case_id = wanted.id",
        False,
    ),
    Statement(
        "outer-join",
        "SELECT 1 FROM case_file AS file FULL JOIN unnest($1::uuid[]) AS wanted (id) ON file.case_id = wanted.id",
        False,
    ),
    Statement("lock-of-many", "SELECT record FROM case_file WHERE case_id = ANY($1::uuid[]) FOR UPDATE", True),
    Statement("lock-of-many", "SELECT 1 FROM case_file WHERE state = $1 FOR UPDATE SKIP LOCKED", True),
    Statement("row-moved", "UPDATE mailbox SET recipient = $2 WHERE recipient = $1", True),
    Statement(
        "row-moved",
        "INSERT INTO case_party (organisation, case_id) VALUES ($1, $2)"
        " ON CONFLICT (organisation, case_id) DO UPDATE SET organisation = excluded.organisation",
        False,
    ),
    Statement("column-missing", "INSERT INTO position_there (there, position) VALUES ($1, $2)", True),
    Statement("column-missing", "INSERT INTO case_link VALUES ($1, $2)", False),
    Statement(
        "conflict-elsewhere",
        "INSERT INTO message_key (source, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET id = excluded.id",
        True,
    ),
    Statement(
        "set-by-function",
        "INSERT INTO attachment (digest, size, place) VALUES ($1, $2, $3)"
        " ON CONFLICT (digest) DO UPDATE SET uploaded = now()",
        True,
    ),
    Statement("set-by-function", "UPDATE case_file SET updated = clock_timestamp() WHERE state = $1", True),
    Statement("volatile", "DELETE FROM mailbox WHERE expires < clock_timestamp()", True),
    Statement("of-one-node", "SELECT pg_advisory_xact_lock(1) FROM case_file WHERE case_id = $1", False),
    Statement(
        "grouping-sets", "SELECT protocol, state, count(*) FROM case_file GROUP BY ROLLUP (protocol, state)", True
    ),
    Statement("sample", "SELECT count(*) FROM message TABLESAMPLE system (1)", False),
    Statement(
        "recursive",
        "WITH RECURSIVE about AS (SELECT case_id FROM case_link WHERE about = $1 UNION SELECT link.case_id FROM about"
        " JOIN case_link AS link ON link.about = about.case_id) SELECT * FROM about",
        True,
    ),
)

CHANGES = (
    ("unknown-table", "CREATE TABLE ledger (id int)"),
    ("no-such-table", "DROP TABLE relay"),
    ("no-key", "ALTER TABLE relay DROP COLUMN case_id"),
    ("unique-elsewhere", "CREATE UNIQUE INDEX at_once ON message_key (id)"),
    ("unique-elsewhere", "ALTER TABLE mailbox ADD UNIQUE (log_index)"),
    ("partitions-of-partitions", "CREATE TABLE message_2000_01 PARTITION OF message FOR VALUES FROM ('2000-01-01Z')"
     " TO ('2000-02-01Z') PARTITION BY RANGE (log_index);"
     " CREATE TABLE message_2000_01_first PARTITION OF message_2000_01 DEFAULT"),
    ("foreign-key", "ALTER TABLE mailbox ADD FOREIGN KEY (recipient) REFERENCES organisation (id)"),
    ("foreign-key", "ALTER TABLE notice ADD FOREIGN KEY (case_id) REFERENCES case_file (case_id)"),
    ("numbered", "ALTER TABLE relay ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY"),
    ("numbered", "ALTER TABLE message_key ADD COLUMN number bigserial"),
    ("trigger", "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
     " CREATE TRIGGER t AFTER INSERT ON case_step FOR EACH ROW EXECUTE FUNCTION f()"),
    ("rewrite", "CREATE RULE r AS ON DELETE TO mailbox DO INSTEAD NOTHING"),
    ("policy", "CREATE POLICY p ON mailbox USING (true)"),
    ("types-differ", "ALTER TABLE relay ALTER COLUMN case_id TYPE text"),
)  # fmt: skip

"""What the schema must keep to on a Citus cluster: read from the catalogue of a database that has it."""

from hub.store import Connection
from hub.store.layout import Layout
from tests.sharding.rules import Broken, Columns

_TABLES = """
SELECT relname AS name FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""
_TREE = """
SELECT name, name::regclass::oid, 0 AS level FROM unnest($1::text[]) AS name
UNION ALL SELECT name, relid::oid, level FROM unnest($1::text[]) AS name
CROSS JOIN LATERAL pg_partition_tree(name::regclass) WHERE level > 0
"""
_UNIQUE = """
SELECT indexrelid::regclass::text AS name, array_agg(attname::text) AS columns FROM pg_index
JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
WHERE indrelid = $1 AND (indisunique OR indisexclusion) GROUP BY indexrelid
"""
_REFERENCES = """
SELECT conname FROM pg_constraint WHERE contype = 'f' AND (conrelid = $1 OR confrelid = $1)
"""
_NUMBERED = """
SELECT attname FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = $1 AND (attidentity <> '' OR pg_get_expr(adbin, adrelid) LIKE 'nextval(%')
"""
_KEY = "SELECT format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = $1 AND attname = $2"


async def columns(connection: Connection) -> Columns:
    """The columns of each table."""
    rows = await connection.fetch(
        "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
        " WHERE table_schema = 'public' GROUP BY 1"
    )
    return {row[0]: frozenset(row[1]) for row in rows}


async def check(connection: Connection, layout: Layout) -> list[Broken]:
    """What the schema breaks."""
    broken = []
    tables = {row["name"] for row in await connection.fetch(_TABLES)}
    broken += [Broken("unknown-table", name) for name in sorted(tables - layout.spread.keys() - layout.here)]
    broken += [Broken("no-such-table", name) for name in sorted((layout.here | layout.spread.keys()) - tables)]
    types: dict[str, set[str]] = {}
    for name, relation, level in await connection.fetch(_TREE, sorted(layout.spread.keys() & tables)):
        one = layout.spread[name]
        key = await connection.fetchrow(_KEY, relation, one.column)
        if key is None or not key[1]:
            broken.append(Broken("no-key", name))
            continue
        types.setdefault(one.group, set()).add(key[0])
        for index in await connection.fetch(_UNIQUE, relation):
            if one.column not in index["columns"]:
                broken.append(Broken("unique-elsewhere", index["name"]))
        if level > 1:
            broken.append(Broken("partitions-of-partitions", name))
        broken += [Broken("foreign-key", row["conname"]) for row in await connection.fetch(_REFERENCES, relation)]
        broken += [Broken("numbered", row["attname"]) for row in await connection.fetch(_NUMBERED, relation)]
        for catalogue, column in (("pg_trigger", "tgrelid"), ("pg_rewrite", "ev_class"), ("pg_policy", "polrelid")):
            if await connection.fetchval(f"SELECT count(*) FROM {catalogue} WHERE {column} = $1", relation):
                broken.append(Broken(catalogue.removeprefix("pg_"), name))
    broken += [Broken("types-differ", group) for group, found in types.items() if len(found) > 1]
    return broken

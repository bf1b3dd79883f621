"""What a statement must keep to on a Citus cluster: read by sqlglot, held against hub/store/layout.toml.

The rules are those of Citus's documentation (SQL support and workarounds; limitations of cross-node queries), and three
of our own, so that a statement says itself where its work is done: a table that lies here meets a spread one through a
materialized CTE; a row is locked by its own key; what belongs to one node (sequences, advisory locks, notifications)
is not asked of several.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlglot
from sqlglot import exp

from hub.store.layout import Layout, Spread

BLOCKS = (exp.Select, exp.Update, exp.Delete, exp.Insert)
SETTING = (exp.Coalesce, exp.Greatest, exp.Least, exp.Case, exp.If, exp.Cast, exp.And, exp.Or)
"""Functions, as the parser counts them, that may stand in what an update sets: immutable ones."""
OF_ONE_NODE = frozenset(
    {"nextval", "currval", "setval", "lastval", "pg_notify", "set_config", "pg_advisory_lock",
     "pg_advisory_xact_lock", "pg_try_advisory_lock", "pg_try_advisory_xact_lock"}
)  # fmt: skip
VOLATILE = frozenset({"clock_timestamp", "timeofday", "random", "gen_random_uuid", "uuidv7", "uuid", "rand"})
Columns = Mapping[str, frozenset[str]]
"""The columns of each table."""


class Broken(NamedTuple):
    """A rule that a statement breaks, and where."""

    rule: str
    where: str


class Verdict(NamedTuple):
    """What a statement breaks, and which spread tables it asks on every shard."""

    broken: list[Broken]
    everywhere: list[str]


@dataclass(eq=False)
class Source:
    """One of those a block reads or writes: `table` is None where it is a CTE, a subquery or a function."""

    alias: str
    table: str | None = None
    spread: Spread | None = None


@dataclass(eq=False)
class Block:
    """One SELECT, UPDATE, DELETE or INSERT with its sources; `outer` is the one that it may refer to."""

    node: exp.Expr
    outer: "Block | None"
    sources: list[Source] = field(default_factory=list)
    pinned: dict[Source, bool] = field(default_factory=dict)
    """Spread sources whose key is given: True where it is one value."""
    links: list[tuple[Source, Source]] = field(default_factory=list)
    """Spread sources of one group whose keys are equal."""

    @property
    def spread(self) -> list[Source]:
        return [source for source in self.sources if source.spread is not None]

    @property
    def here(self) -> list[Source]:
        return [source for source in self.sources if source.table is not None and source.spread is None]


def check(statement: str, layout: Layout, columns: Columns) -> Verdict:
    """What the statement breaks. Raises sqlglot's ParseError where it can't be read."""
    (tree,) = sqlglot.parse(statement, read="postgres")
    assert tree is not None and not isinstance(tree, exp.Command), statement
    return _Reading(tree, layout, columns).verdict()


class _Reading:
    def __init__(self, tree: exp.Expr, layout: Layout, columns: Columns) -> None:
        self._tree, self._layout, self._columns = tree, layout, columns
        self._ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
        self._broken: list[Broken] = []
        self._blocks: dict[int, Block] = {}
        for node in tree.find_all(*BLOCKS):
            self._blocks[id(node)] = block = Block(node, self._outer(node))
            block.sources = [self._source(one) for one in _read(node)]

    def verdict(self) -> Verdict:
        for block in self._blocks.values():
            for left, right in self._equalities(block):
                self._note(block, left, right)
        everywhere = []
        for block in self._blocks.values():
            self._meeting(block)
            self._writing(block)
            self._locking(block)
            if not isinstance(block.node, exp.Insert):
                everywhere += [one.table for one in block.spread if not self._given(block, one) and one.table]
        if any(block.spread for block in self._blocks.values()):
            self._constructs()
        return Verdict(self._broken, everywhere)

    def _break(self, rule: str, where: str) -> None:
        self._broken.append(Broken(rule, where))

    def _outer(self, node: exp.Expr) -> Block | None:
        """The block that `node` may refer to: none from a CTE, nor from what an INSERT stores."""
        inner, parent = node, node.parent
        while parent is not None and not isinstance(parent, exp.CTE):
            if isinstance(parent, BLOCKS):
                stored = isinstance(parent, exp.Insert) and inner is parent.expression
                return None if stored else self._blocks[id(parent)]
            inner, parent = parent, parent.parent
        return None

    def _source(self, node: exp.Expr) -> Source:
        alias = node.alias_or_name
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier) or node.name in self._ctes:
            return Source(alias)
        table = _whole(node.name)
        if table not in self._layout.here and table not in self._layout.spread:
            self._break("unknown-table", node.name)
        return Source(alias, table, self._layout.spread.get(table))

    def _resolve(self, column: exp.Column) -> tuple[Block, Source] | None:
        """Whose column it is. An unqualified one is of the nearest source that has it, else of one that may."""
        block: Block | None = self._blocks[id(column.find_ancestor(*BLOCKS))]
        while block is not None:
            for source in block.sources:
                if column.table:
                    if source.alias == column.table:
                        return block, source
                elif source.table is not None and column.name in self._columns[source.table]:
                    return block, source
            if not column.table and (derived := [one for one in block.sources if one.table is None]):
                return block, derived[0]
            block = block.outer
        return None

    def _key(self, node: exp.Expr) -> Source | None:
        """The spread source whose distribution column this is."""
        found = self._resolve(node) if isinstance(node, exp.Column) else None
        if found is None or found[1].spread is None or found[1].spread.column != node.name:
            return None
        return found[1]

    def _equalities(self, block: Block) -> Iterator[tuple[exp.Expr, exp.Expr | None]]:
        """What is equal to what, of the conditions that every row must meet; None for one of many values."""
        for condition in _conditions(block.node):
            if isinstance(condition, exp.EQ):
                yield from _pairs(condition.left, condition.right)
            elif isinstance(condition, exp.In):
                members = condition.this.expressions if isinstance(condition.this, exp.Tuple) else [condition.this]
                yield from ((member, None) for member in members)
        for join in block.node.args.get("joins") or ():
            for name in join.args.get("using") or ():
                holders = [one for one in block.sources if one.table is None or name.name in self._columns[one.table]]
                sides = [_owned(exp.column(name.name, table=one.alias), block.node) for one in holders]
                yield from ((sides[0], side) for side in sides[1:])

    def _note(self, block: Block, left: exp.Expr, right: exp.Expr | None) -> None:
        for one, other in ((left, right), (right, left)):
            source = self._key(one) if one is not None else None
            if source is None or source not in block.sources:
                continue
            opposite = self._key(other) if other is not None else None
            if opposite is not None:
                if _together(source, opposite):
                    block.links.append((source, opposite))
            elif other is None or isinstance(other, exp.Any) or not list(other.find_all(exp.Column)):
                single = other is not None and not isinstance(other, exp.Any)
                block.pinned[source] = block.pinned.get(source, False) or single
            elif isinstance(other, exp.Column) and (found := self._resolve(other)) and found[1].table is None:
                block.pinned.setdefault(source, False)

    def _given(self, block: Block, source: Source) -> bool:
        """Whether its key, or one that is equal to it, is given."""
        group = _linked(source, block)
        pinned = set(block.pinned) | (set(block.outer.pinned) if block.outer is not None else set())
        outer = set(block.outer.sources) if block.outer is not None else set()
        return bool(group & pinned) or bool(group & outer)

    def _meeting(self, block: Block) -> None:
        """Tables that meet in one block, or through a reference from within it."""
        if block.spread and block.here:
            self._break("here-beside-spread", f"{block.here[0].table} and {block.spread[0].table}")
        for one in block.spread[1:]:
            if block.spread[0] not in _linked(one, block):
                self._break("not-together", f"{block.spread[0].table} and {one.table}")
        self._outer_joins(block)
        if isinstance(block.node.parent, exp.Subquery) and isinstance(block.node.parent.parent, exp.Lateral):
            if block.spread:
                self._break("lateral", str(block.spread[0].table))
            return
        for source in self._referred(block):
            if source.spread is not None and block.here:
                self._break("here-beside-spread", f"{block.here[0].table} and {source.table}")
            if not block.spread:
                continue
            if source.table is not None and source.spread is None:
                self._break("here-beside-spread", f"{source.table} and {block.spread[0].table}")
            elif source.table is None:
                self._break("correlated-with-derived", f"{source.alias} and {block.spread[0].table}")
            elif not any(source in _linked(one, block) for one in block.spread):
                self._break("not-together", f"{source.table} and {block.spread[0].table}")

    def _referred(self, block: Block) -> set[Source]:
        """The sources of outer blocks that this one refers to."""
        found = (self._resolve(column) for column in block.node.find_all(exp.Column) if self._of(column) is block)
        return {one[1] for one in found if one is not None and one[0] is not block}

    def _of(self, column: exp.Column) -> Block:
        return self._blocks[id(column.find_ancestor(*BLOCKS))]

    def _outer_joins(self, block: Block) -> None:
        for join, source in zip(block.node.args.get("joins") or (), block.sources[1:], strict=False):
            if not join.side or not block.spread or (source.spread is not None and len(block.spread) > 1):
                continue
            if join.side != "LEFT" or block.sources[0].spread is None:
                self._break("outer-join", source.alias)

    def _writing(self, block: Block) -> None:
        node, target = block.node, block.sources[0] if block.sources else None
        if isinstance(node, exp.Select) or target is None or target.spread is None:
            return
        column, table = target.spread.column, target.spread.table
        conflict = node.args.get("conflict")
        if isinstance(node, exp.Insert):
            named = {one.name for one in node.this.expressions} if isinstance(node.this, exp.Schema) else set()
            if column not in named:
                self._break("column-missing", table)
            keys = {one.this.name for one in (conflict.args.get("conflict_keys") or ())} if conflict else set()
            if keys and column not in keys:
                self._break("conflict-elsewhere", table)
        sets = conflict.expressions if conflict else [] if isinstance(node, exp.Insert) else node.expressions
        for one in sets if not isinstance(node, exp.Delete) else []:
            if one.this.name == column:
                self._break("row-moved", table)
            if any(not isinstance(used, SETTING) for used in one.expression.find_all(exp.Func)):
                self._break("set-by-function", table)
        where = node.args.get("where")
        if where is not None and any(_name(used) in VOLATILE for used in where.find_all(exp.Func)):
            self._break("volatile", table)

    def _locking(self, block: Block) -> None:
        if block.node.args.get("locks"):
            for source in block.spread:
                if not block.pinned.get(source):
                    self._break("lock-of-many", str(source.table))

    def _constructs(self) -> None:
        for used in self._tree.find_all(exp.Func):
            if _name(used) in OF_ONE_NODE:
                self._break("of-one-node", _name(used))
        for group in self._tree.find_all(exp.Rollup, exp.Cube, exp.GroupingSets):
            self._break("grouping-sets", group.sql())
        if self._tree.find(exp.TableSample):
            self._break("sample", "TABLESAMPLE")
        if any(one.args.get("recursive") for one in self._tree.find_all(exp.With)):
            self._break("recursive", "WITH RECURSIVE")


def _read(node: exp.Expr) -> Iterator[exp.Expr]:
    """What a block reads or writes, its target first."""
    if isinstance(node, exp.Insert):
        yield node.this.this if isinstance(node.this, exp.Schema) else node.this
        return
    if isinstance(node, (exp.Update, exp.Delete)):
        yield node.this
        yield from node.args.get("using") or ()
    if (source := node.args.get("from_")) is not None:
        yield source.this
    yield from (join.this for join in node.args.get("joins") or ())


def _conditions(node: exp.Expr) -> Iterator[exp.Expr]:
    """Each condition that every row must meet, of WHERE and of the joins."""
    whole = [node.args["where"].this] if node.args.get("where") is not None else []
    whole += [join.args["on"] for join in node.args.get("joins") or () if join.args.get("on") is not None]
    for one in whole:
        yield from (part.unnest() for part in (one.flatten() if isinstance(one, exp.And) else (one,)))


def _pairs(left: exp.Expr, right: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
        yield from zip(left.expressions, right.expressions, strict=True)
    else:
        yield left, right


def _owned(column: exp.Column, node: exp.Expr) -> exp.Column:
    """The column as if it stood in the block `node`."""
    column.parent = node
    return column


def _together(one: Source, other: Source) -> bool:
    return one.spread is not None and other.spread is not None and one.spread.group == other.spread.group


def _linked(source: Source, block: Block) -> set[Source]:
    """The sources whose keys are equal to that of `source`, itself among them."""
    found = {source}
    while more := {b for a, b in block.links if a in found} | {a for a, b in block.links if b in found}:
        if more <= found:
            break
        found |= more
    return found


def _whole(name: str) -> str:
    """The table that a partition is part of."""
    return "message" if re.fullmatch(r"message_(default|\d{4}_\d{2})", name) else name


def _name(used: exp.Func) -> str:
    """What a function is called."""
    return (used.name if isinstance(used, exp.Anonymous) else used.sql_name()).lower()

"""Many requests at once: which messages may be asked so, the sheet for one of them, and every row of it judged.

For protocols alone in which a list of names could not become a watch list (domain, rule 2): each row has its basis and
its reason, and only so many go to one authority a day.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from adapters.desk import asking
from adapters.desk.drafts import DAILY
from adapters.desk.forms import Words
from adapters.workbook.columns import Finding, Row, Sheet, columns, judged
from protocols.departments import is_hub
from protocols.loading import Catalogue, MessageType

MANY: Final = ("errand.request", "service-handover.request")
"""What may be asked many times at once. Case assistance and verification may not: that would be a list of people."""
NARRATIVE: Final = "narrative"
ROW: Final = Words("本行", "The row")


def sheets(catalogue: Catalogue, own: str, organisations: Sequence[Mapping[str, Any]]) -> Iterator[Sheet]:
    """The sheet of each message that `own` may ask many times, of the others among these organisations."""
    roles = next((one["roles"] for one in organisations if one["id"] == own), ())
    others = [one for one in organisations if one["id"] != own]
    named = [(str(one["id"]), Words(str(one["name"]["zh"]), str(one["name"]["en"])))
             for one in others if not is_hub(str(one["id"]))]  # fmt: skip
    for protocol, message in asking.openings_for(catalogue, roles):
        if f"{protocol.name}.{message}" in MANY:
            kind = protocol.messages[message]
            title = Words(kind.declared.zh, kind.declared.en)
            forms = asking.forms_of(kind, others)
            yield Sheet(protocol.name, protocol.version, message, title, *forms, named, DAILY)


def all_judged(kind: MessageType, sheet: Sheet, rows: Sequence[Row], sent: Mapping[str, int]) -> list[Row]:
    """The rows with all that is wrong in them, each by itself and together.

    They are held against the schemas of the message, against each other, and against what was `sent` to each authority
    today.
    """
    alone = [judged(sheet, row, asking.problems_of(kind, row.data, content_of(row))) for row in rows]
    return _within_the_day(sheet, _once(alone), sent)


def content_of(row: Row) -> dict[str, Any]:
    """What is sealed of a row: its reason goes before what is asked, for the other side to read."""
    content = dict(row.content or {})
    if row.reason and content.get(NARRATIVE):
        content[NARRATIVE] = f"理由：{row.reason}\n{content[NARRATIVE]}"
    return content


def sameness(row: Row) -> bytes:
    """What two rows have in common that ask the same of the same."""
    return msgspec.json.encode([row.to, row.data, row.content])


def found_wrong(row: Row, words: Words) -> Row:
    """The row with a finding about all of it."""
    return replace(row, findings=(*row.findings, Finding(ROW, words, "")))


def _once(rows: Sequence[Row]) -> list[Row]:
    """The rows, with a finding at each that says the same as an earlier one."""
    first: dict[bytes, int] = {}
    found = []
    for row in rows:
        earlier = first.setdefault(sameness(row), row.number)
        if earlier != row.number:
            row = found_wrong(row, Words(f"与第 {earlier} 行相同", f"the same as row {earlier}"))
        found.append(row)
    return found


def _within_the_day(sheet: Sheet, rows: Sequence[Row], sent: Mapping[str, int]) -> list[Row]:
    """The rows, with a finding at each that would go beyond what one authority is sent in a day."""
    counted, found = Counter(sent), []
    for row in rows:
        if row.to is not None:
            counted[row.to] += 1
        if row.to is not None and counted[row.to] > DAILY:
            column = columns(sheet)[0]
            words = Words(f"每天至多向同一机构批量发起 {DAILY} 件", f"at most {DAILY} a day to one authority")
            row = replace(row, findings=(*row.findings, Finding(column.title, words, column.key)))
        found.append(row)
    return found

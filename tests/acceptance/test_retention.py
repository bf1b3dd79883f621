"""Erasing by law and by time: the content is gone, the proofs stand, and nothing else may be missing."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters import evidence as evidences
from adapters.client import Refused
from hub.identity import hub_key
from hub.store import embedded
from keys import jws
from protocols import receipt
from protocols.entries import Erased
from protocols.entries import decode as entry_of
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, enrolled, get, mailbox, opened, said, view
from tests.conftest import RunningHub, running_hub

CASE = "case-assistance"
WHY = ["--reason", "court-order", "--legal-basis", "npc-91-2021:47", "--reference", "豫01民终7号"]


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        yield running


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> tuple[Bureau, Bureau]:
    a, b = Bureau("411002-health"), Bureau("440306-health")
    enrolled(hub, a, b)
    return a, b


def sql(hub: RunningHub, *statements: str) -> list[Any]:
    async def run() -> list[Any]:
        connection = await asyncpg.connect(embedded.dsn(hub.data))
        try:
            return [await connection.fetch(one) for one in statements]
        finally:
            await connection.close()

    return asyncio.run(run())


async def ended(a: Bureau, b: Bureau) -> str:
    sent = await opened(a, CASE, "request", [b.id])
    for who, message in ((b, "accept"), (b, "answer"), (a, "close")):
        await said(who, sent.case, CASE, message)
    return sent.case


def erase(hub: RunningHub, case: str, *more: str, why: list[str] | None = None) -> tuple[int, str]:
    done = hub.run("erase", case, *(why or WHY), *more, "--data", str(hub.data))
    return done.returncode, done.stdout + done.stderr


def test_a_case_is_erased_and_everything_that_proves_it_stays(hub: RunningHub, bureaus: tuple[Bureau, Bureau]) -> None:
    a, b = bureaus
    case, other = asyncio.run(ended(a, b)), asyncio.run(ended(a, b))
    before = asyncio.run(view(a, case))
    items = asyncio.run(mailbox(b))
    (request, *_) = [one for one in items if one.event.subject == case]
    assert audited(hub) == ""
    status, words = erase(hub, case, "--dry-run", "--json")
    assert status == 0 and (json.loads(words)["messages"], json.loads(words)["entry"]) == (4, None)
    assert asyncio.run(view(a, case)) == before
    status, words = erase(hub, case, "--json")
    assert status == 0, words
    place = json.loads(words)["entry"]
    # Gone everywhere in the database, and answered 410.
    (left,) = sql(hub, f"SELECT count(*) FROM message WHERE case_id = '{case}'")
    assert left[0][0] == 0
    with pytest.raises(Refused) as refused:
        asyncio.run(_read(b, request.event.source, request.event.id))
    assert refused.value.reason == "gone" and _status(b, request.event.source, request.event.id) == 410
    # Its place, its receipt and its entries stay; what is read on is what it was.
    again = asyncio.run(mailbox(b))
    assert [one.position for one in again] == [one.position for one in items if one.event.subject != case]
    page = asyncio.run(_page(b))
    assert len(page.erased) == len(items) - len(again) and page.next == items[-1].position
    assert asyncio.run(_receipt(b, request)) == receipt.leaf(request.receipt.log)
    now = asyncio.run(view(a, case))
    assert [one["type"] for one in now["timeline"]] == [one["type"] for one in before["timeline"]]
    assert all(one["erased"] and one["data"] == {} for one in now["timeline"]) and now["state"] == before["state"]
    assert not any(one.get("erased") for one in asyncio.run(view(a, other))["timeline"])
    assert [one.kind for one in asyncio.run(_notices(b)) if str(one.case) == case] == ["erased"]
    assert asyncio.run(_resent(a, request.compact)) == request.receipt.message
    # The reason is in the log, signed, and holds nothing of anybody.
    (rows,) = sql(hub, f"SELECT leaf FROM log_entry WHERE index = {place}")
    entry = entry_of(rows[0]["leaf"])
    assert isinstance(entry, Erased) and (entry.case, entry.reason) == (case, "court-order")
    compact = jws.decode((entry.statement or "").encode(), typ="xieban-erasure+jws")
    jws.verify(compact, hub_key(hub.data).public)
    assert json.loads(compact.payload)["reference"] == "豫01民终7号"
    assert audited(hub) == ""
    proof = asyncio.run(_evidence(a, other))
    assert evidences.check(proof, [hub_key(hub.data).public], catalogue()).findings == []
    assert len(asyncio.run(_evidence(a, case)).withheld) == 4


async def _evidence(bureau: Bureau, case: str) -> evidences.Evidence:
    async with bureau.client() as client:
        return await evidences.gather(client, case)


async def _read(bureau: Bureau, source: str, id: str) -> None:
    async with bureau.client() as client:
        await client.message(source, id)


def _status(bureau: Bureau, source: str, id: str) -> int:
    return get(bureau, f"/v1/messages/{source}/{id}")[0]


async def _page(bureau: Bureau) -> Any:
    async with bureau.client() as client:
        return await client.poll(0, limit=500)


async def _notices(bureau: Bureau) -> Any:
    async with bureau.client() as client:
        return (await client.notices(0)).items


async def _receipt(bureau: Bureau, item: Any) -> bytes:
    async with bureau.client() as client:
        (entry, *_) = await client.events(item.event.source, item.event.id)
        return base64.b64decode(entry.log.entry)


async def _resent(bureau: Bureau, compact: bytes) -> str:
    async with bureau.client() as client:
        return (await client.resend(compact)).receipt.message


@pytest.mark.parametrize(
    ("why", "more", "word"),
    [
        (["--reason", "because", *WHY[2:]], [], "--reason"),
        ([*WHY[:2], "--legal-basis", "npc-1-1900:1", *WHY[4:]], [], "--legal-basis"),
        ([*WHY[:4], "--reference", "张三 身份证 41100219800101001X; DROP TABLE"], [], "--reference"),
        (WHY, [], "not ended"),
    ],
)
def test_what_may_not_be_erased_is_refused_and_stays(
    hub: RunningHub, bureaus: tuple[Bureau, Bureau], why: list[str], more: list[str], word: str
) -> None:
    case = asyncio.run(opened(bureaus[0], CASE, "request", [bureaus[1].id])).case
    status, words = erase(hub, case, *more, why=why)
    assert status != 0 and word in words and "Traceback" not in words
    assert not asyncio.run(view(bureaus[0], case))["timeline"][0].get("erased")


def test_a_case_that_is_not_there_is_named(hub: RunningHub) -> None:
    for case in ("nonsense", "019aa5b0-7c3e-7b10-8a44-0c5d9e7f3b21"):
        status, words = erase(hub, case)
        assert status != 0 and "Traceback" not in words and case in words


def test_one_message_more_that_is_gone_is_found(hub: RunningHub, bureaus: tuple[Bureau, Bureau]) -> None:
    case, other = asyncio.run(ended(*bureaus)), asyncio.run(ended(*bureaus))
    assert erase(hub, case)[0] == 0
    ((gone,),) = sql(hub, f"SELECT * FROM message WHERE case_id = '{other}' ORDER BY log_index LIMIT 1")
    sql(hub, f"DELETE FROM message WHERE log_index = {gone['log_index']}")
    assert f"message at {gone['log_index']} is gone" in audited(hub)
    asyncio.run(_put_back(hub, gone))
    (rows,) = sql(hub, "SELECT * FROM erasure ORDER BY log_index DESC LIMIT 1")
    sql(hub, f"DELETE FROM erasure WHERE log_index = {rows[0]['log_index']}")
    assert "is gone" in audited(hub)
    sql(hub, f"INSERT INTO erasure VALUES ({rows[0]['log_index']}, '{case}', NULL, NULL, now())")
    assert audited(hub) == ""


async def _put_back(hub: RunningHub, row: Any) -> None:
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    await connection.execute("INSERT INTO message VALUES ($1, $2, $3, $4)", *row)
    await connection.close()


def test_what_is_past_its_time_goes_by_the_month_and_cases_under_way_stay() -> None:
    with running_hub() as hub:
        a, b = Bureau("411002-health"), Bureau("440306-health")
        enrolled(hub, a, b)
        old = [asyncio.run(ended(a, b)) for _ in range(3)]
        under_way = asyncio.run(opened(a, CASE, "request", [b.id])).case
        assert "for ever" in hub.run("retention", "--data", str(hub.data)).stderr
        done = hub.run("retention", "--months", "1", "--data", str(hub.data))
        assert done.returncode == 0 and "nothing" in done.stdout
        _age(hub)
        due = json.loads(hub.run("retention", "--months", "1", "--json", "--data", str(hub.data)).stdout)
        assert [(one["messages"], one["erased"], one["entry"]) for one in due] == [(13, 12, None)]
        done = hub.run("retention", "--months", "1", "--run", "--json", "--data", str(hub.data))
        assert done.returncode == 0, done.stderr
        assert [one["erased"] for one in json.loads(done.stdout)] == [12]
        for case in old:
            assert all(one["erased"] for one in asyncio.run(view(a, case))["timeline"])
        assert not asyncio.run(view(a, under_way))["timeline"][0].get("erased")
        assert [one.event.subject for one in asyncio.run(mailbox(b))] == [under_way]
        (tables,) = sql(hub, "SELECT relname FROM pg_class WHERE relname LIKE 'message_20%'")
        assert _month(hub, 2) not in {row[0] for row in tables} and _month(hub, 0) in {row[0] for row in tables}
        assert "nothing" in hub.run("retention", "--months", "1", "--run", "--data", str(hub.data)).stdout
        asyncio.run(said(b, under_way, CASE, "accept"))
        assert (asyncio.run(view(a, under_way)))["state"] == "in-progress"


def _age(hub: RunningHub) -> None:
    """As if everything had been said two months ago: the store's moments and the partition of this month move back."""
    name, old = _month(hub, 0), _month(hub, 2)
    first = old.removeprefix("message_").replace("_", "-")
    sql(
        hub,
        f"CREATE TABLE {old} PARTITION OF message FOR VALUES FROM ('{first}-01 00:00+00')"
        f" TO (('{first}-01 00:00+00'::timestamptz AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')",
        "UPDATE case_file SET updated = updated - interval '2 months'",
        f"CREATE TABLE moved AS SELECT * FROM {name}",
        f"DELETE FROM {name}",
        "UPDATE moved SET accepted = accepted - interval '2 months'",
        "INSERT INTO message SELECT * FROM moved",
        "UPDATE message_key SET accepted = accepted - interval '2 months'",
        "UPDATE mailbox SET accepted = accepted - interval '2 months'",
        "UPDATE case_step SET accepted = accepted - interval '2 months'",
    )


def _month(hub: RunningHub, ago: int) -> str:
    """The partition of so many months ago."""
    moment = f"now() AT TIME ZONE 'UTC' - interval '{ago} months'"
    ((row,),) = sql(hub, f"SELECT to_char({moment}, '\"message_\"YYYY_MM') AS name")
    return str(row["name"])


@pytest.mark.timeout(300)
def test_a_backup_of_before_does_not_bring_back_what_was_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = Bureau("411002-health"), Bureau("440306-health")
    monkeypatch.setenv("XIEBAN_BACKUP_PASSPHRASE", "change-me-too")
    secret, kept, restored = str(tmp_path / "backup.key"), tmp_path / "kept", tmp_path / "again"
    for folder in (tmp_path / "hub", restored):
        folder.mkdir()
    with running_hub(data=tmp_path / "hub") as hub:
        enrolled(hub, a, b)
        case, other = asyncio.run(ended(a, b)), asyncio.run(ended(a, b))
        recipient = worked(hub.run("backup", "key", "--out", secret)).strip()
        worked(hub.run("backup", "--data", str(hub.data), "--to", str(kept), "--recipient", recipient))
        assert erase(hub, case)[0] == 0
        hub.stop()
        shutil.copy(hub.data / "passphrase", restored / "passphrase")
        (file,) = kept.glob("*.age")
        words = ["--key", secret, "--data", str(restored), "--erased", str(hub.data / "erased.jsonl")]
        worked(hub.run("restore", str(file), *words))
    with running_hub(data=restored) as hub:
        a.url = b.url = hub.url
        assert all(one["erased"] for one in asyncio.run(view(a, case))["timeline"])
        assert not any(one["erased"] for one in asyncio.run(view(a, other))["timeline"])
        assert audited(hub) == ""


def worked(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout

"""A province's platform through its adapter and a real hub: both ways, by delegation, whatever is stopped."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import adapters.provincial
from adapters.client import Client, Patience
from adapters.running.configuration import section
from adapters.running.dead_letters import DeadLetters
from adapters.running.station import Station
from keys.jwk import DecryptionKey, SigningKey
from keys.keystore import KeyStore
from protocols.delegation import MAILBOX
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, opened, said
from tests.acceptance.province import EXAMPLE, Province, errand, open_province
from tests.acceptance.stations import running, until
from tests.conftest import XIEBAN, RunningHub, free_port

HERE, THERE, GATEWAY = Bureau("411002-health"), Bureau("440306-health"), Bureau("411000-supervision")
PASSPHRASE = "open sesame, province"


@pytest.fixture(scope="module", autouse=True)
def known(hub: RunningHub) -> None:
    """The bureau lets the platform's gateway sign, since the platform can't."""
    enrolled(hub, HERE, THERE, GATEWAY)

    async def delegated() -> None:
        now = datetime.now(UTC)
        async with HERE.client() as here:
            await here.delegate(GATEWAY.id, ["errand.*", MAILBOX], now, now + timedelta(days=30))

    asyncio.run(delegated())


def configured(folder: Path, hub: RunningHub, province: Province, listen: str = "", key: str = "k-1") -> Path:
    """A section with the example's mapping; the gateway's key signs, the bureau's opens."""
    held: dict[str, list[SigningKey | DecryptionKey]] = {"gateway": [GATEWAY.signing, GATEWAY.sealing]}
    for name, keys in (held | {"bureau": [HERE.sealing]}).items():
        if not (folder / name).exists():
            store = KeyStore(folder / name)
            store.create()
            for one in keys:
                store.add(one, PASSPHRASE)
            shutil.copytree(EXAMPLE, folder / "mapping", dirs_exist_ok=True)
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "passphrase").chmod(0o600)
    (folder / "key").write_text(key)
    file = folder / "config.toml"
    file.write_text(
        f'[adapters.provincial]\nhub = "{hub.url}"\norganisations = ["{HERE.id}"]\nkeys = "gateway"\n'
        'sealed_keys = ["bureau"]\npassphrase_file = "passphrase"\nstore = "store"\nevery = 0.1\nmapping = "mapping"\n'
        f'allow_private = ["127.0.0.0/8"]\nallow_http = true\n{listen}\n'
        '[adapters.provincial.authentication]\ntype = "key"\nsecret = { file = "key" }\n'
        f'[adapters.provincial.pull]\nurl = "{province.url}/api/records"\nitems = "data.list"\nkind = "lx"\n'
        'paging = { by = "page", parameter = "pageNum", size = 2 }\n'
        'since = { parameter = "updatedFrom", mark = "gxsj" }\n'
        f'[adapters.provincial.push]\nurl = "{province.url}/api/messages/{{type}}"\n'
        f'[adapters.provincial.settle]\nurl = "{province.url}/api/receipts/{{record}}/{{key}}"\n'
        '[adapters.provincial.webhook]\nsecret = { file = "key" }\n'
    )  # fmt: skip
    return file


@contextlib.asynccontextmanager
async def at_work(file: Path, hub: RunningHub) -> AsyncIterator[Station]:
    """The adapter, running in this process."""
    found = section(file, "provincial")
    offered: list[Station] = []
    partner = adapters.provincial.partner(found, lambda offer: offered[0].offer(offer))

    def connect() -> Client:
        return Client(hub.url, HERE.id, GATEWAY.signing, [HERE.sealing], patience=Patience(within=1))

    async with running(found.common.store, partner, {HERE.id: connect}, found.common.every) as station:
        offered.append(station)
        yield station


async def from_here(since: int) -> list[Any]:
    """What lies in the other side's mailbox from this bureau."""
    return [item for item in await mailbox(THERE) if item.event.source == HERE.id and item.position > since]


async def seen_by_there() -> int:
    items = await mailbox(THERE)
    return items[-1].position if items else 0


async def test_a_case_of_the_platform_goes_there_and_its_answers_come_back(hub: RunningHub, tmp_path: Path) -> None:
    before = await seen_by_there()
    records = [errand(101), errand(102), errand(103)]
    async with open_province(size=2, key="k-1", records=records) as province:  # noqa: SIM117
        async with at_work(configured(tmp_path, hub, province), hub):
            await until(lambda: len(province.receipts) == 3)
            items = await from_here(before)
            assert [item.event.type for item in items] == ["errand.request"] * 3
            assert {item.gateway for item in items} == {GATEWAY.id}
            async with THERE.client() as there:
                assert there.unseal(items[0])["subjects"][0]["residence"] == "示例路12号3单元"
            case = items[0].event.subject
            receipt = province.receipts["101-1"]
            assert (receipt["number"], receipt["case"], receipt["taken"]) == ("豫协〔2026〕101", case, True)
            assert receipt["message"] == items[0].event.id and receipt["receipt"]["log"]["proof"] is not None
            await said(THERE, case, "errand", "accept")
            await said(THERE, case, "errand", "report")
            await until(lambda: len(province.messages) == 2)
            accepted, reported = province.messages.values()
            assert accepted["lx"] == "XBSL" and accepted["ajbh"] == reported["ajbh"] == "豫协〔2026〕101"
            assert reported["jg"] == "BJ" and reported["jgms"] == (content("errand", "report") or {})["narrative"]
    assert audited(hub) == ""


async def test_a_case_from_there_gets_the_platforms_number_and_its_answers_go_back(
    hub: RunningHub, tmp_path: Path
) -> None:
    before = await seen_by_there()
    async with open_province(key="k-1") as province, at_work(configured(tmp_path, hub, province), hub):
        sent = await opened(THERE, "errand", "request", [HERE.id])
        await until(lambda: f'"{sent.id}"' in province.messages)
        got = province.messages[f'"{sent.id}"']
        assert got["sqdw"] == "443060010" and got["wbbh"] == sent.case and got["dsr"][0]["xm"]
        head = {"bbh": 1, "ajbh": got["_number"], "cbdw": "410020010", "gxsj": "2026-11-21 10:00:00"}
        report = json.loads((EXAMPLE / "examples/report-record.json").read_text())
        province.records += [head | {"lx": "XBSL", "xh": 201}, report | head | {"xh": 202}]
        await until(lambda: len(province.receipts) == 2)
        items = await from_here(before)
        assert [(item.event.type, item.event.subject) for item in items] == [
            ("errand.accept", sent.case), ("errand.report", sent.case)]  # fmt: skip
        # What the platform can't take is a dead letter; what it has no use for is not.
        province.refused.add("errand.close")
        async with THERE.client() as there:
            await there.reply_in(sent.case, "close", example("errand", "close"))
        dead = DeadLetters(tmp_path / "store" / "dead")
        await until(lambda: dead.count() == 1)
        assert "422" in next(iter(dead.all().values())).reason
    assert audited(hub) == ""


async def test_a_code_that_no_list_has_is_a_dead_letter_until_the_list_has_it(hub: RunningHub, tmp_path: Path) -> None:
    before = await seen_by_there()
    async with open_province(key="k-1", records=[errand(301, sx="66"), errand(302)]) as province:
        file = configured(tmp_path, hub, province)
        dead = DeadLetters(tmp_path / "store" / "dead")
        async with at_work(file, hub):
            await until(lambda: len(province.receipts) == 2)
            assert "code list act has no '66'" in province.receipts["301-1"]["problem"]
            assert province.receipts["302-1"]["taken"] and dead.count() == 1
        codes = tmp_path / "mapping" / "codes.toml"
        codes.write_text(codes.read_text().replace('notify = "03"', 'notify = ["03", "66"]'))
        done = await asyncio.to_thread(
            subprocess.run, [*XIEBAN, "adapter", "retry", "provincial", "--all", "--config", str(file)], check=True
        )
        assert done.returncode == 0 and dead.count() == 0
        async with at_work(file, hub):
            await until(lambda: province.receipts["301-1"]["taken"])
    assert {item.event.data["act"] for item in await from_here(before)} == {"serve-document", "notify"}
    assert dead.count() == 0


async def test_an_unwell_platform_is_waited_for_and_nothing_is_lost(hub: RunningHub, tmp_path: Path) -> None:
    before = await seen_by_there()
    faults = deque(["500", "garbage", "ok", "500"])
    async with (
        open_province(key="k-1", faults=faults, size=2, records=[errand(n) for n in range(401, 406)]) as province,
        at_work(configured(tmp_path, hub, province), hub),
    ):
        await until(lambda: len(province.receipts) == 5)
    assert len(await from_here(before)) == 5


# As a process of its own, killed again and again ---------------------------------------------------------


async def test_one_that_is_killed_goes_on_without_loss_or_doubles(hub: RunningHub, tmp_path: Path) -> None:
    before, port = await seen_by_there(), free_port()
    async with open_province(key="k-1", size=2) as province:
        file = configured(tmp_path, hub, province, f'listen = "127.0.0.1:{port}"')

        async def start() -> asyncio.subprocess.Process:
            command = [*XIEBAN, "adapter", "run", "provincial", "--config", str(file)]
            output = open(tmp_path / "adapter.log", "ab")  # noqa: SIM115
            return await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)

        async def pushed(number: int) -> bool:
            """Sent again until it is known to be kept, as a platform does."""
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with aiohttp.ClientSession(headers={"X-API-Key": "k-1"}) as session:
                    url = f"http://127.0.0.1:{port}/provincial/XBSQ"
                    async with session.post(url, json=errand(number)) as answer:
                        return answer.status == 202
            return False

        sent = []
        waiting = [*range(551, 555), 551]  # the first one again at the end: it is known by then
        for life in range(3):
            process = await start()
            province.records += [errand(501 + 2 * life), errand(502 + 2 * life)]
            sent.append(await opened(THERE, "errand", "request", [HERE.id]))
            stop = asyncio.get_running_loop().time() + 2.0 + 0.4 * life
            while asyncio.get_running_loop().time() < stop:
                if waiting and await pushed(waiting[0]):
                    waiting.pop(0)
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        process = await start()
        waiting = waiting or [551]
        while waiting:
            if await pushed(waiting[0]):
                waiting.pop(0)
            await asyncio.sleep(0.05)
        await until(lambda: len(province.receipts) == 10 and all(f'"{one.id}"' in province.messages for one in sent))
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    items = await from_here(before)
    assert len(items) == len({item.event.id for item in items}) == 10
    assert {receipt["message"] for receipt in province.receipts.values()} == {item.event.id for item in items}
    assert all(receipt["taken"] for receipt in province.receipts.values())
    assert [key for key in province.messages if key.strip('"') in {one.id for one in sent}]
    log = (tmp_path / "adapter.log").read_text()
    assert "k-1" not in log and PASSPHRASE not in log and "李某某" not in log and "Traceback" not in log
    assert audited(hub) == ""


async def test_a_section_is_checked_before_it_runs(hub: RunningHub, tmp_path: Path) -> None:
    async with open_province() as province:
        file = configured(tmp_path, hub, province)

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*XIEBAN, "adapter", "check", "provincial", "--config", str(file)],
                              capture_output=True, text=True, check=False, timeout=60)  # fmt: skip

    done = await asyncio.to_thread(check)
    assert done.returncode == 0 and "未发现问题" in done.stdout
    rules = tmp_path / "mapping" / "mapping.toml"
    rules.write_text(rules.read_text().replace('"jjcd": $theirs', '"jinji": $theirs'))
    done = await asyncio.to_thread(check)
    assert done.returncode == 1 and "request-body.json says otherwise" in done.stderr.replace("\n", "")

"""`docs/adapters/out_of_province.md`, command for command; and an adapter that is killed goes on where it was."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import evidence as evidences
from keys.keystore import KeyStore
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, content, example, mailbox, opened, said, view
from tests.acceptance.pages import ROOT, blocks, environment, in_shell
from tests.acceptance.provinces import Province, admitted, carrying, eventually, key_of, province, station

PAGE = (ROOT / "docs/adapters/out_of_province.md").read_text("utf-8")
PASSPHRASE = "correct horse"
CASE = "case-assistance"


@pytest.fixture(scope="module")
def provinces() -> Iterator[tuple[Province, Province]]:
    with province("41") as henan, province("44") as guangdong:
        yield henan, guangdong


@pytest.fixture
def folder(provinces: tuple[Province, Province], tmp_path: Path) -> Path:
    henan, guangdong = provinces
    for name, one in (("henan", henan), ("guangdong", guangdong)):
        (tmp_path / name).symlink_to(one.hub.data)
        (tmp_path / f"{name}.toml").symlink_to(one.config)
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    store = KeyStore(tmp_path / "anchor")
    store.create()
    store.add(henan.anchor.signing, PASSPHRASE)
    (config,) = blocks(PAGE, "toml")
    (tmp_path / "config.toml").write_text(addressed(config, provinces))
    return tmp_path


def addressed(text: str, provinces: tuple[Province, Province]) -> str:
    henan, guangdong = provinces
    return text.replace("http://127.0.0.1:8421", guangdong.url).replace("http://127.0.0.1:8420", henan.url)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = ["xieban", "adapter", "run", "guangdong"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


async def positions(bureau: Bureau, count: int) -> Any:
    found = await mailbox(bureau)
    return found if len(found) >= count else None


async def test_the_page_and_an_adapter_that_is_killed(provinces: tuple[Province, Province], folder: Path) -> None:
    henan, guangdong = provinces
    become, run, look = blocks(PAGE, "sh")
    assert guangdong.id in in_shell(addressed(become, provinces), folder, henan.hub)
    admitted(guangdong, henan)
    here, there = henan.bureau("1002"), guangdong.bureau("0306")
    check, _ = run.strip().splitlines()
    assert "nothing wrong" in in_shell(check, folder, henan.hub)
    async with carrying(station(guangdong, henan)):

        async def known() -> Any:
            async with there.client() as client:
                return (await client.look_up(here.id))["jwks"]["keys"]

        await eventually(known)
        cases = [(await opened(there, CASE, "request", [here.id])).case for _ in range(40)]
        with running(folder) as process:
            await eventually(lambda: positions(here, 5))
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        with running(folder):
            found = await eventually(lambda: positions(here, 40))
            status, reset, end = look.strip().splitlines()
            assert "guangdong" in in_shell(f"{status}\n{reset}", folder, henan.hub)
            assert [one.event.subject for one in found] == cases
            assert [one.position for one in found] == list(range(1, 41))
            await joined(henan, here, there)
    in_shell(end, folder, henan.hub)
    assert json.loads(henan.run("hubs", "list", "--json"))["items"][0]["in_force"] is False
    assert (henan.audited(), guangdong.audited()) == ("", "")


async def joined(henan: Province, here: Bureau, there: Bureau) -> None:
    """Whoever is brought into a case of another hub later has it whole; evidence of it holds at its home."""
    sister = henan.bureau("1003")
    sent = await opened(here, CASE, "request", [sister.id])
    await said(sister, sent.case, CASE, "accept")
    data = example(CASE, "forward") | {"to": there.id}
    async with sister.client() as client:
        forwarded = await client.reply_in(sent.case, "forward", data, content(CASE, "forward"))

    async def arrived() -> Any:
        return [one for one in await mailbox(there) if one.event.id == forwarded.id]

    (item,) = await eventually(arrived)
    seen = await view(there, sent.case)
    assert [step["type"] for step in seen["timeline"]] == [
        f"{CASE}.{name}" for name in ("request", "accept", "forward")
    ]
    async with there.client() as client:
        handed = await client.handed_over(item)
        assert [one.event.id for one in handed][:1] == [sent.id]
        await client.reply(item, "accept", example(CASE, "accept"))

    async def taken() -> Any:
        return len((await view(here, sent.case))["timeline"]) == 4

    await eventually(taken)
    async with here.client() as client:
        proof = await evidences.gather(client, sent.case)
    report = evidences.check(proof, [key_of(henan)], catalogue())
    assert report.findings == []

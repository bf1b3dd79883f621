"""A protocol that no desk nor adapter knew: one that lacks it says so, one that is given its folder needs no more."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keys.keystore import KeyStore
from protocols import loading
from protocols.envelope import new_id
from protocols.loading import Catalogue
from tests.acceptance.bureaus import Bureau, enrolled, view
from tests.acceptance.desks import HERE, PASSWORD, THERE, Desk, Person, set_up, wanted
from tests.acceptance.exchanging import configured, put
from tests.acceptance.stations import until
from tests.conftest import XIEBAN, RunningHub, running_hub

NAME = "shared-patrol"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one protocol of one's own, as `xieban protocols new` makes it."""
    made = tmp_path_factory.mktemp("own")
    named = (NAME, "--zh", "联合巡查", "--en", "Shared patrol", "--to", str(made))
    done = RunningHub(made, 0).run("protocols", "new", *named)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def hub(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub whose catalogue has it besides the others."""
    whole = tmp_path_factory.mktemp("whole") / "catalogue"
    shutil.copytree(loading.FOLDER, whole)
    shutil.copytree(folder / NAME, whole / NAME)
    config = whole.parent / "config.toml"
    config.write_text(f'[protocols]\nfolder = "{whole}"\n')
    with running_hub("--config", str(config)) as running:
        yield running
        audit = running.run("audit", "--data", str(running.data), "--config", str(config))
        assert audit.returncode == 0, audit.stdout


@pytest.fixture(scope="module")
def desk(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(hub, tmp_path_factory.mktemp("desk"), HERE).start()
    asyncio.run(set_up(made, hub, "zhou"))
    yield made
    made.stop()


async def test_a_new_protocol_needs_its_folder_and_no_new_page(hub: RunningHub, desk: Desk, folder: Path) -> None:
    there = Bureau(THERE)
    enrolled(hub, there)
    known = Catalogue([*loading.catalogue().protocols.values(), *loading.load(folder).protocols.values()])
    request = known.protocols[NAME, "1.0"].messages["request"]
    assert request.sealed_schema is not None
    data, part = request.schema.document["examples"][0], request.sealed_schema.document["examples"][0]
    async with there.client(catalogue=known) as client:
        case = (await client.send(f"{NAME}.request", new_id(), [HERE], data, part)).case
    texts = [text for text in part.values() if isinstance(text, str)]
    async with Person(desk) as head:
        await head.enter("zhou")
        # Without the protocol everything that came is still read, and why no more can be done is said.
        page = await head.until(f"/cases/{case}", "本机没有协议 shared-patrol 1.0")
        assert texts and all(text in page.words for text in texts) and "--protocols" in page.words
        assert f"/cases/{case}/begin" not in page.text
        assert (await head.post(f"/cases/{case}/begin", {"message": "accept"})).status == 404
        assert NAME not in (await head.get(f"/new?q={THERE}")).text
    desk.stop()
    desk.options = ("--protocols", str(folder))
    desk.start()
    async with Person(desk) as head:
        await head.enter("zhou")
        page = await head.until(f"/cases/{case}", "联合巡查")
        assert "本机没有协议" not in page.words and all(text in page.words for text in texts)
        for message in ("accept", "result"):
            await head.until(f"/cases/{case}", known.protocols[NAME, "1.0"].messages[message].declared.zh)
            draft = await head.post(f"/cases/{case}/begin", {"message": message})
            done = await head.fill(draft.path, {**wanted(draft), "do": "sign"})
            await head.until(done.path, "枢纽已受理，回执如下")
        assert f"{NAME}.request" in (await head.get(f"/new?q={THERE}")).text
    assert (await view(there, case))["state"] == "answered"


async def test_an_adapter_needs_its_folder_too(
    hub: RunningHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = Bureau("411003-health"), Bureau("440307-health")
    enrolled(hub, here, there)
    store = KeyStore(tmp_path / "keys")
    store.create()
    for key in (here.signing, here.sealing):
        store.add(key, PASSWORD)
    monkeypatch.setenv("XIEBAN_PASSPHRASE", PASSWORD)
    request = loading.load(folder).protocols[NAME, "1.0"].messages["request"]
    assert request.sealed_schema is not None
    data, part = request.schema.document["examples"][0], request.sealed_schema.document["examples"][0]
    body = json.dumps({"type": f"{NAME}.request", "to": [there.id], "data": data, "content": part}).encode()
    files, own = tmp_path / "files", 'root = "files"\nsettle = 0.1\n'
    async with adapting(configured(tmp_path, here, own)):
        put(files, "early.json", body)
        await until((files / "rejected/early.json").exists)
    assert f"no protocol '{NAME}'" in "".join(one.read_text() for one in (files / "rejected").glob("early.json*"))
    async with adapting(configured(tmp_path, here, f'{own}protocols = "{folder}"\n')):
        put(files, "ask.json", body)
        await until((files / "receipts/ask.json.receipt.json").exists)


@contextlib.asynccontextmanager
async def adapting(config: Path) -> AsyncIterator[None]:
    """An exchange's own process, while it lasts."""
    run = await asyncio.create_subprocess_exec(*XIEBAN, "adapter", "run", "exchange", "--config", str(config))
    try:
        yield
    finally:
        run.terminate()
        await run.wait()

"""The signed directory: pinned once, refreshed by any TUF client, never believed when rolled back, frozen or forged."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tuf.ngclient import Updater

from adapters.client import Client, PinInvalid, Pinned, SnapshotInvalid, SnapshotUnreachable
from hub.snapshot import metadata
from keys import jwk
from keys.errors import KeyUnknown
from keys.keystore import KeyStore
from tests.acceptance.between import Answer, only, proxy
from tests.acceptance.bureaus import Bureau, enrolled, opened
from tests.conftest import RunningHub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")


@pytest.fixture(scope="module")
def root(hub: RunningHub) -> Iterator[bytes]:
    """The root as the operator hands it over."""
    enrolled(hub, HERE, THERE)
    done = hub.run("directory", "root", "--data", str(hub.data))
    assert done.returncode == 0, done.stderr
    yield done.stdout.encode()


async def until_listed(pinned: Pinned, id: str, kid: str) -> dict[str, Any]:
    """The key as the pinned directory has it, once it does; it is published a moment after it is added."""
    async with asyncio.timeout(10):
        while True:
            found = await pinned.organisation(id)
            for key in found.keys if found else []:
                if key.jwk["kid"] == kid:
                    return {"removed": key.removed, "compromised": key.compromised}
            await asyncio.sleep(0.1)


async def test_a_stranger_with_a_tuf_client_of_its_own_reads_the_directory(
    hub: RunningHub, root: bytes, tmp_path: Path
) -> None:
    for folder in ("metadata", "files"):
        (tmp_path / folder).mkdir()
    base = f"{hub.url}/snapshot/"

    def fetched() -> Any:
        updater = Updater(str(tmp_path / "metadata"), base, str(tmp_path / "files"), base, bootstrap=root)
        target = updater.get_targetinfo("directory/41.json")
        assert target is not None and updater.get_targetinfo("directory/99.json") is None
        return json.loads(Path(updater.download_target(target)).read_bytes())

    await until_listed(await pinned_to(hub, root, tmp_path / "ours"), HERE.id, HERE.signing.kid)
    document = await asyncio.to_thread(fetched)
    (found,) = document["organisations"]
    assert (document["hub"], found["id"]) == ("410000-hub", HERE.id)
    assert {key["jwk"]["kid"] for key in found["keys"]} == {HERE.signing.kid, HERE.sealing.kid}


async def pinned_to(hub: RunningHub, root: bytes, folder: Path) -> Pinned:
    pinned = Pinned(folder)
    await pinned.pin(hub.url, root)
    return pinned


async def test_a_change_of_keys_and_a_leak_are_in_it_at_once(hub: RunningHub, root: bytes, tmp_path: Path) -> None:
    pinned = await pinned_to(hub, root, tmp_path)
    spare = Bureau("410105-health")
    enrolled(hub, spare)
    assert await until_listed(pinned, spare.id, spare.signing.kid) == {"removed": None, "compromised": None}
    old, spare.signing = spare.signing, jwk.generate_signing()
    enrolled(hub, spare)
    await until_listed(pinned, spare.id, spare.signing.kid)
    assert (await until_listed(pinned, spare.id, old.kid))["removed"] is not None
    since = "2026-11-20T08:00:00+08:00"
    revoke = ("organisations", "revoke", spare.id, spare.signing.kid, "--compromised-since", since)
    assert hub.run(*revoke, "--data", str(hub.data)).returncode == 0
    async with asyncio.timeout(10):
        while (await until_listed(pinned, spare.id, spare.signing.kid))["compromised"] is None:
            await asyncio.sleep(0.1)
    assert await pinned.refresh() > datetime.now(UTC) + timedelta(hours=20)


async def test_who_pinned_it_believes_no_other_key_whatever_the_hub_says(
    hub: RunningHub, root: bytes, tmp_path: Path
) -> None:
    pinned = await pinned_to(hub, root, tmp_path)
    await until_listed(pinned, HERE.id, HERE.signing.kid)
    false = jwk.generate_signing()

    def exchange(answer: Answer) -> Answer:
        return answer.saying({"keys": [dict(false.public.jwk)]})

    await opened(HERE, "case-assistance", "request", [THERE.id])
    async with proxy(hub, only("/jwks.json", exchange)) as url:
        keys = hub_keys_of(hub)
        async with Client(url, THERE.id, THERE.signing, [THERE.sealing], hub_keys=keys) as trusting:
            with pytest.raises(KeyUnknown):
                await trusting.poll(0)
        async with Client(url, THERE.id, THERE.signing, [THERE.sealing], hub_keys=keys, pinned=pinned) as careful:
            page = await careful.poll(0)
            assert [item.event.source for item in page.items] == [HERE.id]
            await careful.reply(page.items[0], "accept", {})


def hub_keys_of(hub: RunningHub) -> list[jwk.VerifyingKey]:
    from hub.identity import hub_key

    return [hub_key(hub.data).public]


# A directory that does not hold ------------------------------------------------------------------------

KEY = jwk.generate_signing()
NOW = datetime.now(UTC)


def repository(before: metadata.Renewed | None, now: datetime, word: str = "x") -> metadata.Renewed:
    """What a hub stores at a moment, with all that it stored before."""
    files = {"directory/41.json": json.dumps({"hub": "410000-hub", "organisations": [], "word": word}).encode()}
    made = metadata.renew(before.documents if before else {}, files, KEY, now, changed=True)
    return metadata.Renewed(made.documents, {**(before.stored if before else {}), **made.stored})


@contextlib.asynccontextmanager
async def served(files: dict[str, bytes]) -> AsyncIterator[str]:
    """An HTTP server that hands out what is in `files`, which may change meanwhile."""

    async def hand_out(request: web.Request) -> web.Response:
        body = files.get(request.match_info["path"])
        return web.Response(status=404) if body is None else web.Response(body=body)

    app = web.Application()
    app.router.add_get("/snapshot/{path:.+}", hand_out)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_what_is_rolled_back_frozen_mixed_or_forged_is_refused(tmp_path: Path) -> None:
    old = repository(None, NOW - timedelta(hours=2))
    new = repository(old, NOW - timedelta(hours=1), "y")
    files = dict(new.stored)
    async with served(files) as url:
        await Pinned(tmp_path / "seen").pin(url, new.documents["root"])
        forged = dict(new.stored)
        signed = json.loads(forged["timestamp.json"])
        signed["signed"]["version"] += 1
        forged["timestamp.json"] = json.dumps(signed).encode()
        frozen = repository(None, NOW - timedelta(hours=30))
        other = metadata.renew({}, {}, jwk.generate_signing(), NOW, changed=True)
        newest = new.documents["root"]
        (name,) = [name for name in new.stored if name.startswith("directory/") and name not in old.stored]
        cases: dict[str, tuple[dict[str, bytes], bytes]] = {
            "rolled back": (dict(old.stored), newest),
            "frozen for a day": (dict(frozen.stored), frozen.documents["root"]),
            "altered": (forged, newest),
            "another hub's": ({**other.stored}, newest),
            "a file exchanged": (
                {**new.stored, name: b"{}" + b" " * (len(new.stored[name]) - 2)},
                newest,
            ),
            "endless": ({**new.stored, name: new.stored[name] + b" " * 9}, newest),
        }
        for what, (said, root) in cases.items():
            files.clear()
            files.update(said)
            folder = tmp_path / what
            shutil.copytree(tmp_path / "seen", folder) if what != "frozen for a day" else None
            with pytest.raises((SnapshotInvalid, SnapshotUnreachable)) as refused:
                pinned = Pinned(folder)
                if what == "frozen for a day":
                    await pinned.pin(url, root)
                await pinned.organisation(HERE.id)
            assert isinstance(refused.value, SnapshotInvalid) or what == "endless", what
        # What was seen before still stands, and goes on where the hub comes to itself.
        files.clear()
        files.update(repository(new, NOW, "z").stored)
        assert await Pinned(tmp_path / "seen").organisation(HERE.id) is None


async def test_a_pin_is_for_one_hub_and_needs_the_root(hub: RunningHub, root: bytes, tmp_path: Path) -> None:
    with pytest.raises(PinInvalid, match="pin"):
        await Pinned(tmp_path / "nothing").refresh()
    for junk in (b"", b"{}", b"[]", b'{"signed":{},"signatures":[]}', root.replace(b'"root"', b'"mirrors"', 1)):
        with pytest.raises(SnapshotInvalid):
            await Pinned(tmp_path / "junk").pin(hub.url, junk)
    pinned = await pinned_to(hub, root, tmp_path / "one")
    with pytest.raises(PinInvalid, match="pinned to"):
        await pinned.pin("http://127.0.0.1:1", root)
    with pytest.raises(SnapshotUnreachable):
        await Pinned(tmp_path / "away").pin("http://127.0.0.1:1", root)


async def test_an_offline_key_takes_over_the_root_of_a_running_hub(
    hub: RunningHub, root: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "offline-passphrase")
    pinned = await pinned_to(hub, root, tmp_path / "pinned")
    for name in ("offline", "other"):
        KeyStore(tmp_path / name).create()
        KeyStore(tmp_path / name).add(jwk.generate_signing(), "offline-passphrase")
    command = ("directory", "root", "--data", str(hub.data), "--keys")
    done = hub.run(*command, str(tmp_path / "offline"))
    assert done.returncode == 0, done.stderr
    assert metadata.describe(done.stdout.encode())[0] == metadata.describe(root)[0] + 1
    await pinned.refresh()  # who pinned the first root follows
    await pinned_to(hub, done.stdout.encode(), tmp_path / "fresh")
    refused = hub.run(*command, str(tmp_path / "other"))
    assert (refused.returncode, "root-invalid" in refused.stderr) == (1, True)
    done = hub.run(*command, str(tmp_path / "other"), "--previous", str(tmp_path / "offline"))
    assert done.returncode == 0, done.stderr
    await pinned.refresh()


def test_the_commands_pin_and_show(
    hub: RunningHub, root: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root.json").write_bytes(root)
    monkeypatch.setenv("XIEBAN_DIRECTORY", str(tmp_path / "pinned"))
    pinned = hub.run("directory", "pin", str(tmp_path / "root.json"), "--hub", hub.url, "--json")
    assert json.loads(pinned.stdout)["hub"] == hub.url, pinned.stderr
    shown = hub.run("directory", "show", HERE.id, "--json")
    assert [key["jwk"]["kid"] for key in json.loads(shown.stdout)["keys"]], shown.stderr
    assert HERE.signing.kid in hub.run("directory", "show", HERE.id).stdout
    for arguments, said in ((("999999-health",), "no organisation"), (("nonsense",), "organisation")):
        refused = hub.run("directory", "show", *arguments)
        assert refused.returncode == 1 and said in refused.stderr and "Traceback" not in refused.stderr

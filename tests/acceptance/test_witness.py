"""A witness outside: what grows is cosigned, what is rewritten is caught, with the proof kept."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.witness import Follower, LogRewritten, LogUnreachable
from adapters.witness.memory import Memory, MemoryUnreadable
from hub.identity import hub_key
from keys import checkpoint, cosignature, jwk
from keys.checkpoint import Checkpoint
from keys.cosignature import Witness
from keys.errors import BadCheckpoint
from keys.keystore import KeyStore
from tests.acceptance.bureaus import Bureau, enrolled, opened
from tests.acceptance.forged_log import LOG, Log
from tests.conftest import RunningHub, running_hub

NAME, KEY = "witness.example", jwk.generate_signing()


def entries(count: int, word: str = "entry") -> list[bytes]:
    return [f"{word} {number}".encode() for number in range(count)]


async def looked(log: Log, state: Path, **more: Any) -> Any:
    async with log.served() as url, aiohttp.ClientSession() as session:
        return await Follower(NAME, KEY, url, [LOG.public], Memory(state), **more).look(session)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (3, 700), (256, 257), (255, 256), (300, 70_000), (5, 5)])
async def test_a_log_that_grows_is_cosigned(tmp_path: Path, before: int, after: int) -> None:
    state = tmp_path / "witness.json"
    log = Log(*entries(before))
    assert (await looked(log, state)).size == before
    log.entries = entries(after)
    seen = await looked(log, state)
    assert (seen.size, seen.grown) == (after, after > before)
    noted, (one,) = cosignature.verify(log.received[-1].decode(), [Witness(NAME, KEY.public)])
    assert noted.size == after and one.line == seen.cosignature


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (entries(300), [*entries(299), b"another", *entries(50)]),
        (entries(300), [b"another", *entries(300)[1:], *entries(50)]),
        (entries(300), [*entries(299), b"another"]),
        (entries(300), entries(200)),
        (entries(256), [*entries(100), b"inserted", *entries(256)[100:]]),
        (entries(7), entries(8, "other")),
    ],
)
async def test_a_rewritten_or_split_history_is_caught_and_kept_as_proof(
    tmp_path: Path, before: list[bytes], after: list[bytes]
) -> None:
    state = tmp_path / "witness.json"
    log = Log(*before)
    await looked(log, state)
    kept, signed = state.read_bytes(), len(log.received)
    log.entries = after
    with pytest.raises(LogRewritten):
        await looked(log, state)
    assert (state.read_bytes(), len(log.received)) == (kept, signed)
    proof = json.loads((tmp_path / "witness.json.contradiction.json").read_text())
    both = [checkpoint.verify_checkpoint(note, [LOG.public]) for note in (proof["before"], proof["now"])]
    assert [seen.size for seen in both] == [len(before), len(after)]
    with pytest.raises(LogRewritten):
        await looked(log, state)


async def test_tiles_that_do_not_make_the_root_are_not_signed(tmp_path: Path) -> None:
    log = Log(*entries(300))
    for spoil in (lambda body: body[:-1] + b"x", lambda body: body[:-32], lambda body: body + bytes(32)):
        log.spoil = spoil
        with pytest.raises(BadCheckpoint):
            await looked(log, tmp_path / "witness.json")
    assert log.received == [] and not (tmp_path / "witness.json").exists()


async def test_what_another_key_signed_is_no_checkpoint(tmp_path: Path) -> None:
    log = Log(*entries(3))
    async with log.served() as url, aiohttp.ClientSession() as session:
        follower = Follower(NAME, KEY, url, [jwk.generate_signing().public], Memory(tmp_path / "w.json"))
        with pytest.raises(BadCheckpoint):
            await follower.look(session)
        nobody = Follower(NAME, KEY, "http://127.0.0.1:9", [LOG.public], Memory(tmp_path / "w.json"))
        with pytest.raises(LogUnreachable):
            await nobody.look(session)


async def test_without_its_memory_a_witness_signs_nothing(tmp_path: Path) -> None:
    state = tmp_path / "witness.json"
    for text in ("", "[]", "{}", '{"origin": 1}', "\x00"):
        state.write_text(text)
        with pytest.raises(MemoryUnreadable):
            await looked(Log(*entries(3)), state)


# With a real hub -----------------------------------------------------------------------------------------


async def test_a_hub_collects_what_its_witnesses_sign_and_nothing_else(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    store.create()
    store.add(KEY, "a passphrase of the witness")
    (tmp_path / "passphrase").write_text("a passphrase of the witness")
    (tmp_path / "passphrase").chmod(0o600)
    config = tmp_path / "config.toml"
    config.write_text(f'[log]\nwitnesses = ["{Witness(NAME, KEY.public).vkey()}"]\n')
    with running_hub("--config", str(config)) as hub:
        here, there = Bureau("411002-health"), Bureau("440306-health")
        enrolled(hub, here, there)
        (tmp_path / "hub.jwks").write_text(json.dumps({"keys": [hub_key(hub.data).public.jwk]}))
        assert (await asked(hub, "GET", "/log/cosigned"))[0] == 404
        done = watch(hub, tmp_path)
        assert done.returncode == 0, done.stderr
        await opened(here, "case-assistance", "request", [there.id])
        assert watch(hub, tmp_path).returncode == 0
        status, note = await asked(hub, "GET", "/log/cosigned")
        seen, (one,) = cosignature.verify(note, [Witness(NAME, KEY.public)])
        assert (status, one.witness) == (200, NAME)
        assert checkpoint.verify_checkpoint(note, [hub_key(hub.data).public]) == seen
        head = (await asked(hub, "GET", "/log/checkpoint"))[1]
        stranger = head + cosignature.cosign(head, "stranger.example", jwk.generate_signing(), one.at)
        forged = checkpoint.sign_checkpoint(Checkpoint(seen.origin, seen.size + 5, bytes(32)), LOG)
        for body, expected in (
            (head, 403),
            (stranger, 403),
            (forged + cosignature.cosign(forged, NAME, KEY, one.at), 400),
            ("nonsense", 400),
            ("\x00" * 10, 400),
            ("x" * 200_000, 413),
        ):
            assert (await asked(hub, "POST", "/log/cosignatures", body))[0] == expected
        assert (await asked(hub, "GET", "/log/cosigned"))[1] == note


def watch(hub: RunningHub, folder: Path) -> Any:
    return hub.run(
        "witness", "--hub", hub.url, "--hub-key", str(folder / "hub.jwks"), "--name", NAME, "--keys",
        str(folder / "keys"), "--state", str(folder / "witness.json"), "--once", "--passphrase-file",
        str(folder / "passphrase"),
    )  # fmt: skip


async def asked(hub: RunningHub, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, hub.url + path, data=body.encode() if body is not None else None) as answer,
    ):
        return answer.status, await answer.text()

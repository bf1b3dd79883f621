"""The folders without a hub: whatever lies in `in/` never stops the adapter nor leads out, whenever the power fails."""

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.client import Client, Patience
from adapters.exchange import partner, signing
from adapters.exchange.asked import wanted
from adapters.exchange.exchange import Exchange
from adapters.exchange.folder import FOLDERS, FileTrouble
from adapters.exchange.local import Local
from adapters.exchange.words import Unfit
from adapters.running.configuration import AdapterConfigInvalid, section
from adapters.running.partner import Outcome, Own, PartnerUnreachable
from adapters.running.station import _outcome
from adapters.running.store import Store
from keys import jwk
from protocols.envelope import new_id

HERE, THERE = "411002-health", "440306-health"
KEY = jwk.generate_signing()
ORGANISATIONS = [{"id": id, "name": {"zh": id, "en": id}, "superior": None, "roles": ["bureau"], "algorithms": []}
                 for id in (HERE, THERE)]  # fmt: skip
RECEIPT = {"message": "m", "digest": "sha-256:0", "accepted": "2026-11-28T00:00:00Z",
           "log": {"origin": "o", "index": 1, "entry": "", "proof": [], "checkpoint": ""}}  # fmt: skip


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where folders are quick."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies leaves to the disk what it wrote."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


class Power(BaseException):
    """It fails."""


class Side:
    """An adapter and a hub that takes everything, in one: what a station does, step by step."""

    def __init__(self, folder: Path, own: str = 'root = "files"\nsettle = 0\ntemplates = false') -> None:
        self.folder, self.own = folder, own
        self.files = folder / "files"
        self.taken: dict[str, str] = {}

    def start(self) -> Exchange:
        config = self.folder / "config.toml"
        config.write_text(f'[adapters.exchange]\nhub = "http://127.0.0.1:9"\norganisation = "{HERE}"\nkeys = "keys"\n'
                          f'store = "store"\n{self.own}\n')  # fmt: skip
        made = partner(section(config, "exchange"), lambda _: True)
        assert isinstance(made, Exchange)
        away: Callable[[], Client] = lambda: Client("http://127.0.0.1:9", HERE, KEY, patience=Patience(within=0.01))  # noqa: E731
        made.meet(Own({HERE: away}, KEY))
        made._ledger.note("hub", "410000-hub")
        made._ledger.note("organisations", ORGANISATIONS)
        return made

    async def once(self, made: Exchange, store: Store) -> int:
        """Collect, take, settle: once; how many were offered."""
        found = await made.collect(None)
        store.take(found.offers)
        for kept in store.offers("new", "signed"):
            if kept.offer.problem is not None:
                store.decided(kept.offer.key, None, kept.offer.problem)
                continue
            id, compact = kept.id or new_id(), kept.compact or b"a.b.c"
            store.signed(kept.offer.key, id, compact)
            assert self.taken.setdefault(kept.offer.key, id) == id
            store.decided(kept.offer.key, {"case": id, "receipt": RECEIPT}, None)
        for kept in store.offers("taken", "refused"):
            await made.settle(kept.offer, _outcome(kept))
            store.settled(kept.offer.key)
        return len(found.offers)

    async def life(self, rounds: int = 3) -> None:
        """From a start on, until there is nothing more to do."""
        made, store = self.start(), Store(self.folder / "store")
        try:
            async with made:
                for _ in range(rounds):
                    await self.once(made, store)
        finally:
            store.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def put(files: Path, name: bytes | str, body: bytes) -> None:
    (files / "in").mkdir(parents=True, exist_ok=True)
    (
        Path(str(files / "in")) / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
    ).write_bytes(body)


def asked(reference: str) -> bytes:
    return json.dumps({"type": "errand.request", "to": [THERE], "data": {}, "reference": reference}).encode()


NAMES = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.builds(lambda stem, end: stem + end, st.binary(min_size=1, max_size=20),
              st.sampled_from([b".json", b".jose", b".xlsx", b".XLSX", b".json.sig", b".tmp", b"~"])),
    st.sampled_from([b"con.json", b"..json", b"..\\..\\a.json", b"a\nb.json", "字".encode() * 80, b"-rf", b"$.json"]),
).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_")[:250])  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"{}", b"[" * 5000, b'{"type":"\xd0\xed"}', b"\xff\xfe{\0}\0", b"PK\x03\x04", b"a.b.c",
                     b'{"type":"errand.request","to":["' + THERE.encode() + b'"],"data":{}}', b"{" * 1048577]),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                 | st.dictionaries(st.sampled_from(["type", "to", "data", "case", "content", "source", "x"]), inner),
                 max_leaves=6).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(NAMES, BODIES), min_size=1, max_size=5))
def test_arbitrary_names_and_bytes_never_stop_it_and_never_lead_out(handed: list[tuple[bytes, bytes]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder) / "a" / "b"
        root.mkdir(parents=True)
        side = Side(root)
        for name, body in handed:
            with suppress(OSError):
                put(side.files, name, body)
        put(side.files, "good.json", asked("the last"))
        run(side.life())
        assert (side.files / "done" / "good.json").exists()
        assert {one.name for one in side.files.iterdir()} == {*FOLDERS, "README.txt"}
        assert {one.name for one in root.iterdir()} == {"files", "store", "config.toml"}
        assert [one.name for one in root.parent.iterdir()] == ["b"] and [
            one.name for one in Path(folder).iterdir()
        ] == ["a"]
        assert not [one for where in FOLDERS for one in (side.files / where).iterdir() if not one.is_file()]
        reasons = [one for one in (side.files / "rejected").iterdir() if one.name.endswith(".problem.txt")]
        assert all("未受理" in one.read_text() for one in reasons)


def test_the_power_may_fail_at_any_step(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step that touches a folder: before it, and after it; then it goes on, and nothing is lost or doubled."""
    steps, die_at, after = 0, -1, False

    def dying(name: str) -> None:
        real = getattr(Local, name)

        async def step(self: Local, *arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == die_at and not after:
                raise Power
            done = await real(self, *arguments)
            if steps == die_at:
                raise Power
            return done

        monkeypatch.setattr(Local, name, step)

    for name in ("read", "write", "move", "remove"):
        dying(name)
    total = 1
    for at in range(0, 80):
        for after in (False, True) if at else (False,):
            die_at, steps = at, 0
            folder = memory / f"{at}-{after}"
            folder.mkdir()
            side = Side(folder)
            bodies = {"a.json": asked("a"), "bad.json": b"{", "same.json": asked("a")}
            for name, body in bodies.items():
                put(side.files, name, body)
            with suppress(Power):
                run(side.life())
            die_at = -1
            run(side.life())
            total = steps if not at else total
            assert [one.rsplit(".", 2)[-2] for one in side.taken] in (["a"], ["same"])
            ends = [one for where in ("done", "rejected") for one in (side.files / where).iterdir()]
            kept = {one.name: one.read_bytes() for one in ends if one.name in bodies}
            assert kept == bodies and not [one for one in (side.files / "in").iterdir()]
            assert sum(1 for _ in (side.files / "receipts").glob("*.receipt.json")) == 1
            assert sum(1 for _ in (side.files / "receipts").glob("*.problem.txt")) == 2
        if at > total:
            break
    assert total < 80


def test_a_place_that_goes_away_while_it_is_looked_at_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, away = Local.read, True

    async def reading(self: Local, folder: str, name: str, at_most: int) -> bytes:
        if away and name == "b.json":
            raise PartnerUnreachable("the share is gone")
        return await read(self, folder, name, at_most)

    monkeypatch.setattr(Local, "read", reading)
    side = Side(tmp_path)
    for name in ("a", "b"):
        put(side.files, f"{name}.json", asked(name))
    with pytest.raises(PartnerUnreachable):
        run(side.life())

    async def work() -> None:
        nonlocal away
        made, store = side.start(), Store(tmp_path / "store")
        async with made:
            with pytest.raises(PartnerUnreachable):
                await side.once(made, store)
            away = False
            for _ in range(2):
                await side.once(made, store)
        store.close()

    run(work())
    assert len(side.taken) == 2 and len(list((side.files / "done").iterdir())) == 2


def test_what_was_refused_is_tried_again_by_hand(tmp_path: Path) -> None:
    side = Side(tmp_path)
    put(side.files, "a.json", asked("a"))

    async def work() -> None:
        made, store = side.start(), Store(tmp_path / "store")
        async with made:
            (offer,) = (await made.collect(None)).offers
            store.take([offer])
            store.decided(offer.key, None, "the hub says no")
            await made.settle(offer, Outcome(problem="the hub says no"))
            store.settled(offer.key)
            assert (side.files / "rejected" / "a.json").exists()
            store.renew(offer)  # what `xieban adapter retry` does
            await side.once(made, store)
        store.close()

    run(work())
    assert [one.name for one in (side.files / "done").iterdir()] == ["a.json"]
    assert not list((side.files / "rejected").iterdir())
    assert {one.name for one in (side.files / "receipts").iterdir()} == {
        "a.json.receipt.json",
        "a.json.receipt.json.sig",
    }


def test_a_changed_file_under_an_old_name_is_another_one(tmp_path: Path) -> None:
    side = Side(tmp_path)
    put(side.files, "a.json", asked("one"))

    async def work() -> None:
        made, store = side.start(), Store(tmp_path / "store")
        async with made:
            found = await made.collect(None)
            store.take(found.offers)
            put(side.files, "a.json", asked("two"))  # in its place, before the first one is settled
            await side.once(made, store)
            for _ in range(3):
                await side.once(made, store)
        store.close()

    run(work())
    assert len(side.taken) == 2
    assert sum(1 for _ in (side.files / "receipts").glob("*.receipt.json")) == 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('{"type":"errand.request"}'.encode("gbk"), "to"),
        ('{"type":"协查"}'.encode("gbk"), "GBK"),
        ('{"type":"协查"}'.encode("utf-16"), "UTF-16"),
        (b"\x80\xff\xff", "UTF-8"),
        (b'{"type":"a.b","type":"a.b"}', "twice"),
        (b'{"type":"a.b","to":["440306-health"],"more":1}', "more"),
        (b'{"type":"a.b","to":["nobody"]}', "organisation id"),
        (b'{"type":"a","to":["440306-health"]}', "errand.request"),
        (b'{"type":"a.b","case":"1"}', "UUIDv7"),
        (b'{"type":"a.b","to":["440306-health"],"source":"440306-health"}', "speak"),
        (b"[]", "object"),
    ],
)
def test_json_that_is_no_message_is_named(body: bytes, why: str) -> None:
    with pytest.raises(Unfit) as unfit:
        wanted(body, [HERE])
    assert why in unfit.value.words.en


def test_a_mark_of_byte_order_before_utf_8_does_no_harm() -> None:
    made, reference = wanted(b"\xef\xbb\xbf" + asked("字"), [HERE])
    assert made.source == HERE and made.to == (THERE,) and reference == "字"


@pytest.mark.parametrize(
    "change", [{"file": "b"}, {"size": 4}, {"sha256": hashlib.sha256(b"x").hexdigest()}, {"sha256": "0"}, None]
)
def test_a_signature_is_for_one_file_alone(change: dict[str, Any] | None) -> None:
    from keys import jws

    token = signing.signed("a", b"abc", HERE, "hub", KEY)
    signing.check(token, "a", b"abc", [jwk.generate_signing().public, KEY.public])
    if change is None:
        token = token[:-10] + b"AAAAAAAAA\n"
    else:
        said = json.loads(jws.decode(token.strip(), typ=signing.TYP).payload) | change
        token = jws.sign(msgspec.json.encode(said), KEY, typ=signing.TYP)
    with pytest.raises(Unfit):
        signing.check(token, "a", b"abc", [KEY.public])


async def test_a_name_that_is_a_path_is_no_file(tmp_path: Path) -> None:
    folder = Local(tmp_path, 0o640)
    await folder.prepare()
    for name in ("", ".", "..", "../x", "a/b", "a\0b"):
        with pytest.raises(FileTrouble):
            await folder.read("in", name, 10)
        with pytest.raises(FileTrouble):
            await folder.move("in", "a", "done", name)


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ("", "root"),
        ('root = "x"\nrequire_signed = true', "partner_keys"),
        ('root = "x"\npartner_keys = "none"', "partner_keys"),
        ('root = "x"\nmode = "9"', "mode"),
        ('root = "x"\nsettle = -1', "settle"),
        ('root = "x"\nsettled = 1', "settled"),
        ('sftp = {host = "h", user = "u", known_hosts = "none"}', "known_hosts"),
        ('sftp = {host = "h", user = "u"}', "known_hosts"),
    ],
)
def test_settings_that_can_not_be_used_are_said_to_be_so(tmp_path: Path, own: str, why: str) -> None:
    with pytest.raises(AdapterConfigInvalid, match=why):
        Side(tmp_path, own).start()

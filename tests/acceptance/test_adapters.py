"""What every adapter does: nothing lost, nothing twice, whatever fails or is stopped in between."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.client import Patience
from adapters.conformance import faults
from adapters.conformance.proxy import Proxy
from adapters.running import health, station
from adapters.running.configuration import AdapterConfigInvalid, section
from adapters.running.partner import (
    Collected,
    Delivery,
    Offer,
    Outcome,
    Partner,
    PartnerRejected,
    PartnerUnreachable,
    Wanted,
)
from adapters.running.station import Station
from adapters.running.store import Store
from keys import jwk, keyfile
from keys.keystore import KeyStore
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, opened
from tests.acceptance.stations import running, until
from tests.conftest import XIEBAN, RunningHub, free_port

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")


@pytest.fixture(scope="module", autouse=True)
def known(hub: RunningHub) -> None:
    enrolled(hub, HERE, THERE)


class Far(Partner):
    """A partner in this process: what it got, what it has, and what it does wrong for a while."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self.has: list[Offer] = []
        self.told: dict[str, Outcome] = {}
        self.away = self.rejects = False
        self.before_return: Callable[[], None] = lambda: None

    def _here(self) -> None:
        if self.away:
            raise PartnerUnreachable("the partner is away")

    async def deliver(self, delivery: Delivery) -> None:
        self._here()
        if self.rejects:
            raise PartnerRejected("the platform knows no such office")
        self.got.append(delivery)
        self.before_return()

    async def collect(self, cursor: str | None) -> Collected:
        self._here()
        done = int(cursor or 0)
        return Collected(self.has[done : done + 2], str(min(done + 2, len(self.has))), done + 2 < len(self.has))

    async def settle(self, offer: Offer, outcome: Outcome) -> None:
        self._here()
        self.told[offer.key] = outcome
        self.before_return()


@contextlib.asynccontextmanager
async def at_work(folder: Path, far: Far, who: Bureau = HERE, **more: Any) -> AsyncIterator[Station]:
    """The adapter of a partner, running."""
    clients = {who.id: lambda: who.client(more.get("url"), patience=Patience(within=1))}
    async with running(folder, far, clients, more.get("every", 0.05)) as made:
        yield made


def wanted(key: str, **changed: Any) -> Offer:
    """A request of the partner."""
    said = Wanted(source=HERE.id, type="errand.request", data=example("errand", "request"),
                  content=content("errand", "request"), to=(THERE.id,))  # fmt: skip
    return Offer(key=key, wanted=said, raw={"their": key}, **changed)


def ids(far: Far) -> list[str]:
    return [one.item.event.id for one in far.got]


async def test_messages_go_down_and_come_up_once(hub: RunningHub, tmp_path: Path) -> None:
    far = Far()
    far.has = [wanted("one"), wanted("two"), wanted("three")]
    sent = [await opened(THERE, "errand", "request", [HERE.id]) for _ in range(3)]
    async with at_work(tmp_path, far):
        await until(lambda: len(far.told) == 3 and len(far.got) >= 3)
    assert ids(far) == [one.id for one in sent]
    assert far.got[0].content["narrative"] == (content("errand", "request") or {})["narrative"]
    assert all(outcome.taken for outcome in far.told.values())
    # The same partner offers the same again, with a cursor that it lost.
    Store(tmp_path).note("cursor/partner", "0")
    again = Far()
    again.has = far.has
    async with at_work(tmp_path, again):
        await asyncio.sleep(0.5)
    assert again.got == [] and again.told == {}
    async with THERE.client() as there:
        items = [item for item in (await there.poll(0, limit=500)).items if item.event.source == HERE.id]
    assert sorted(item.event.id for item in items) == sorted(str(one.message) for one in far.told.values())
    assert audited(hub) == ""


@pytest.mark.parametrize("point", ["deliver", "settle", "send"])
async def test_one_that_dies_in_between_goes_on_without_loss_or_doubles(
    hub: RunningHub, tmp_path: Path, point: str
) -> None:
    far = Far()
    far.has = [wanted(f"{point}-1"), wanted(f"{point}-2")] if point != "deliver" else []
    sent = [await opened(THERE, "errand", "request", [HERE.id]) for _ in range(2)] if point == "deliver" else []

    class Death(BaseException):
        """The power fails."""

    def die() -> None:
        far.before_return = lambda: None
        raise Death

    if point == "send":
        store = Store(tmp_path)
        store.take(far.has)
        async with HERE.client() as here:  # signed, sent, and nothing kept of the answer
            draft = await here.prepare("errand.request", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7", [THERE.id],
                                       example("errand", "request"), content("errand", "request"))  # fmt: skip
            store.signed(far.has[0].key, draft.id, draft.compact)
            await here.resend(draft)
        store.close()
    else:
        far.before_return = die
        with contextlib.suppress(BaseExceptionGroup, Death):
            async with at_work(tmp_path, far):
                await until(lambda: far.before_return is not die and False, within=3)
    async with at_work(tmp_path, far):
        await until(lambda: len(far.told) == len(far.has) and {one.id for one in sent} <= set(ids(far)))
    async with THERE.client() as there:
        items = [item for item in (await there.poll(0, limit=500)).items if item.event.source == HERE.id]
    messages = [str(one.message) for one in far.told.values()]
    assert len(set(messages)) == len(far.has)
    assert [item.event.id for item in items if item.event.id in messages] != [] or not far.has
    assert len([item for item in items if item.event.id in messages]) == len(messages)


async def test_a_partner_that_is_away_is_left_alone_longer_and_longer_and_its_word_ends_that(
    hub: RunningHub, tmp_path: Path
) -> None:
    far = Far()
    far.away = True
    sent = await opened(THERE, "errand", "request", [HERE.id])
    async with at_work(tmp_path, far) as station:
        store = Store(tmp_path)
        await until(lambda: any(one.failures >= 2 for one in store.waiting()))
        seen = health.look("far", "far", store)
        assert seen.running and not seen.well and any("away" in one.why for one in seen.waiting)
        assert b'xieban_adapter_ways_waiting{adapter="far"}' in health.metrics(seen)
    # The back-off outlives the process.
    assert any(one.failures >= 2 for one in Store(tmp_path).waiting())
    far.away = False
    async with at_work(tmp_path, far) as station:
        assert station.offer(wanted("spoke")) and not station.offer(wanted("spoke"))
        await until(lambda: sent.id in ids(far) and "spoke" in far.told)
        await until(lambda: health.look("far", "far", Store(tmp_path)).well)
    store = Store(tmp_path)
    store.failed("up/partner", "again")
    assert store.reset() == 1 and store.waiting() == []


async def test_what_a_side_rejects_is_a_dead_letter_that_is_tried_again_by_hand(
    hub: RunningHub, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[adapters.far]\nkind = "exchange"\nhub = "{hub.url}"\norganisation = "{HERE.id}"\n'
                      'keys = "keys"\nstore = "store"\n')  # fmt: skip
    far = Far()
    far.rejects = True
    bad = wanted("bad")
    assert bad.wanted is not None
    bad.wanted.data["urgency"] = "no such"
    far.has = [bad, Offer(key="worse", problem="row 7 names no office", raw="七")]
    sent = await opened(THERE, "errand", "request", [HERE.id])
    store = tmp_path / "store"
    async with at_work(store, far):
        await until(lambda: len(far.told) == 2 and len(list((store / "dead").glob("*.json"))) >= 3)
        assert not any(one.taken for one in far.told.values())
        assert "row 7" in str(far.told["worse"].problem)

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*XIEBAN, "adapter", *arguments, "--config", str(config)], capture_output=True,
                                  text=True, check=False, timeout=60)  # fmt: skip

        listed = json.loads((await asyncio.to_thread(run, "dead-letters", "far", "--json")).stdout)
        down = next(one["name"] for one in listed if one["way"] == "down" and sent.id in one["name"])
        assert "no such office" in json.loads((store / "dead" / f"{down}.json").read_text())["reason"]
        assert "narrative" not in (store / "dead" / f"{down}.json").read_text()
        assert (store / "dead" / f"{down}.json").stat().st_mode & 0o077 == 0
        far.rejects, far.has = False, []
        done = await asyncio.to_thread(run, "retry", "far", down)
        assert done.returncode == 0 and "再试" in done.stdout
        await until(lambda: sent.id in ids(far))
        assert (await asyncio.to_thread(run, "retry", "far", "nothing")).returncode == 1
        seen = await asyncio.to_thread(run, "status", "--json")
        assert json.loads(seen.stdout)[0]["dead"] >= 2
    assert (await asyncio.to_thread(run, "status")).returncode == 1  # it does not run any more
    assert keyfile is not None


# What may be the fault of something in between -------------------------------------------------------------------


def altered(page: Any) -> Any:
    """A page whose messages somebody changed."""
    for item in page.get("items", []):
        head, payload, signature = item["message"].split(".")
        item["message"] = f"{head}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    return page


@pytest.mark.parametrize("lasting", [False, True])
async def test_what_was_altered_on_its_way_is_asked_for_again_and_is_passed_over_only_after_long(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasting: bool
) -> None:
    who, far, store = Bureau("411003-health" if lasting else "411004-health"), Far(), tmp_path / "store"
    enrolled(hub, who)
    sent = await opened(THERE, "errand", "request", [who.id])
    if lasting:
        monkeypatch.setattr(station, "DOUBTS", 2)
        monkeypatch.setattr(station, "DOUBTED_FOR", 0.5)
    async with Proxy(hub.url) as proxy, at_work(store, far, who, url=proxy.url) as working:
        with proxy.under(faults.altered(faults.polls, altered)):
            await until(lambda: [one for one in Store(store).waiting() if one.way == f"down/{who.id}"])
            assert far.got == [] and working.dead.count() == 0
            if lasting:
                await until(lambda: working.dead.count() == 1)
        after = await opened(THERE, "errand", "request", [who.id])
        await until(lambda: after.id in ids(far))
        assert ids(far) == [after.id] if lasting else [sent.id, after.id]
        assert working.dead.count() == int(lasting)
        await until(lambda: [call for call in proxy.calls if call.acknowledges and call.taken == 200])


async def test_what_is_refused_since_keys_changed_is_sealed_again(hub: RunningHub, tmp_path: Path) -> None:
    """Signed and kept before the recipient changed its keys, sent after; what the partner signed itself is not ours."""
    far, there = Far(), Bureau("440307-health")
    enrolled(hub, there)
    far.has, body = [wanted("renewed"), wanted("own")], (example("errand", "request"), content("errand", "request"))
    assert far.has[0].wanted is not None
    drafts = []
    async with HERE.client() as here:
        for id in ("019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d9"):
            drafts.append(await here.prepare("errand.request", id, [there.id], *body))
    store = Store(tmp_path)
    renewed = Offer(key="renewed", wanted=msgspec.structs.replace(far.has[0].wanted, to=(there.id,)))
    far.has = [renewed, Offer(key="own", compact=drafts[1].compact)]
    store.take(far.has)
    store.signed("renewed", drafts[0].id, drafts[0].compact)
    there.sealing = jwk.generate_encryption()
    enrolled(hub, there)
    async with at_work(tmp_path, far):
        await until(lambda: len(far.told) == 2)
    assert far.told["renewed"].taken and "sealing-invalid" in str(far.told["own"].problem)
    (item,) = await mailbox(there)
    assert item.event.id == far.told["renewed"].message != drafts[0].id
    async with there.client() as client:
        assert client.unseal(item) == body[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no"),
        ("[adapters.far]\n", "hub"),
        ('[adapters.far]\nhub="h"\nkeys="k"\nstore="s"\n', "organisation"),
        ('[adapters.far]\nhub="h"\nkeys="k"\nstore="s"\norganisation="x"\n', "organisation"),
        ('[adapters.far]\nhub="h"\nkeys="k"\nstore="s"\norganisation="411002-health"\nevery=0\n', "every"),
        *(
            (
                f'[adapters.far]\nhub="h"\nkeys="k"\nstore="s"\norganisation="411002-health"\nlisten="{listen}"\n',
                "listen",
            )
            for listen in ("8431", ":8431", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:http", "127.0.0.1:65536", "a b:1")
        ),
        ("adapters = 3\n", "sections"),
        ("[adapters\n", "config.toml"),
    ],
)
def test_a_section_that_can_not_be_used_is_said_to_be_so(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(AdapterConfigInvalid, match=why):
        section(tmp_path / "config.toml", "far")


def test_a_check_opens_the_keys_and_asks_the_hub_whether_they_are_its_organisations(
    hub: RunningHub, tmp_path: Path
) -> None:
    for who in (HERE, THERE):
        store = KeyStore(tmp_path / who.id)
        store.create()
        for key in (who.signing, who.sealing):
            store.add(key, "correct horse")
    (tmp_path / "passphrase").write_text("correct horse")
    (tmp_path / "passphrase").chmod(0o600)
    away = f"http://127.0.0.1:{free_port()}"

    def checked(status: int, keys: str, passphrase: str = "passphrase", url: str = hub.url) -> str:
        (tmp_path / "config.toml").write_text(
            f'[adapters.exchange]\nhub = "{url}"\norganisation = "{HERE.id}"\nkeys = "{keys}"\nroot = "files"\n'
            f'store = "store"\npassphrase_file = "{passphrase}"\n'
        )
        command = [*XIEBAN, "adapter", "check", "exchange", "--config", str(tmp_path / "config.toml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        return done.stderr

    assert checked(0, HERE.id) == ""
    for said in (checked(1, "nowhere"), checked(1, HERE.id, "nowhere")):
        assert "没有这个文件或目录" in said and str(tmp_path / "nowhere") in said
    (tmp_path / "other").write_text("another horse")
    (tmp_path / "other").chmod(0o600)
    assert "口令不对" in checked(1, HERE.id, "other")
    said = checked(1, THERE.id)
    assert "枢纽不认这些密钥属于该机构" in said and f"for {HERE.id}" in said
    assert "枢纽没有应答，未能核对" in checked(0, THERE.id, url=away)

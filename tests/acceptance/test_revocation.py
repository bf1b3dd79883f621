"""A key revoked in an emergency: at once on all workers and nodes, what it signed is marked."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters import evidence as evidences
from adapters.client import Refused
from hub.identity import hub_key
from hub.store import embedded
from keys import jwk
from protocols.entries import KeyCompromised
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, enrolled, opened, said, view
from tests.conftest import RunningHub, running_hub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub("--workers", "2") as running:
        enrolled(running, HERE, THERE)
        yield running


@pytest.fixture(scope="module")
def other(hub: RunningHub) -> Iterator[RunningHub]:
    """A second node of the same hub: its key, its database, a machine of its own."""
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        data = Path(folder)
        shutil.copytree(hub.data / "keys", data / "keys")
        for name in hub.data.glob("passphrase*"):
            shutil.copy2(name, data / name.name)
        (data / "config.toml").write_text(f'[database]\nurl = "{embedded.dsn(hub.data)}"\n')
        with running_hub("--config", str(data / "config.toml"), data=data) as running:
            yield running


def revoked(hub: RunningHub, kid: str, *options: str) -> dict[str, object]:
    done = hub.run("organisations", "revoke", HERE.id, kid, "--data", str(hub.data), "--json", *options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def test_a_leaked_key_is_refused_at_once_and_what_it_signed_is_marked(hub: RunningHub, other: RunningHub) -> None:
    before = await opened(HERE, "case-assistance", "request", [THERE.id])
    since = datetime.now(UTC)
    after = await opened(HERE, "case-assistance", "request", [THERE.id])
    leaked = HERE.signing
    async with HERE.client(other.url) as here:
        assert (await here.case(after.case))["id"] == after.case
    assert revoked(hub, leaked.kid, "--compromised-since", since.isoformat())["revoked"] is True
    for turn in range(12):  # whichever worker of whichever node is asked
        url = other.url if turn % 2 else hub.url
        with pytest.raises(Refused) as refused:
            async with HERE.client(url) as here:
                await here.case(before.case)
        assert refused.value.reason == "token-invalid"
    HERE.signing = jwk.generate_signing()
    hub.enrol([HERE.record()])
    assert [step["suspect"] for step in (await view(HERE, before.case))["timeline"]] == [False]
    assert [step["suspect"] for step in (await view(THERE, after.case))["timeline"]] == [True]
    await said(THERE, before.case, "case-assistance", "accept")
    async with THERE.client() as there:
        # What was taken before stays verifiable for whoever received it.
        assert (await there.message(HERE.id, before.id)).event.id == before.id
        events = [proven.entry for proven in await there.key_events(HERE.id)]
        (told,) = [entry for entry in events if isinstance(entry, KeyCompromised)]
        assert (told.kid, datetime.fromisoformat(told.since)) == (leaked.kid, since)
        proof = await evidences.gather(there, after.case)
    report = evidences.check(proof, [hub_key(hub.data).public], catalogue())
    assert report.findings == [] and [step.suspect for step in report.steps] == [True]
    assert "可能已泄露" in proof.summary
    assert audited(hub) == ""


async def test_a_leaked_key_is_never_taken_up_again(hub: RunningHub) -> None:
    leaked = jwk.generate_signing()
    own, HERE.signing = HERE.signing, leaked
    hub.enrol([HERE.record()])
    await opened(HERE, "case-assistance", "request", [THERE.id])
    revoked(hub, leaked.kid, "--compromised-since", (datetime.now(UTC) - timedelta(days=1)).isoformat())
    hub.enrol([HERE.record()])
    with pytest.raises(Refused):
        await opened(HERE, "case-assistance", "request", [THERE.id])
    again = revoked(hub, leaked.kid, "--compromised-since", (datetime.now(UTC) - timedelta(days=9)).isoformat())
    assert again["revoked"] is False
    HERE.signing = own
    hub.enrol([HERE.record()])
    await opened(HERE, "case-assistance", "request", [THERE.id])
    assert audited(hub) == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["411002-health", "nonsense"], "never had a key"),
        (["999999-health", "nonsense"], "never had a key"),
        (["411002-health", "KID", "--compromised-since", "yesterday"], "moment with its offset"),
        (["411002-health", "KID", "--compromised-since", "2026-11-20T08:00:00"], "moment with its offset"),
        (["411002-health", "KID", "--compromised-since", "2999-11-20T08:00:00+08:00"], "in the future"),
    ],
)
def test_what_can_not_be_revoked_is_said(hub: RunningHub, arguments: list[str], said: str) -> None:
    named = [HERE.signing.kid if word == "KID" else word for word in arguments]
    done = hub.run("organisations", "revoke", *named, "--data", str(hub.data))
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr

"""Every adapter that a partner can stand behind passes the conformance kit, from the partner's own end of it."""

import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.conformance import SCENARIOS, Commands, Outcome, Report, Settings, run
from adapters.conformance import report as reports
from keys import jwk
from keys.jwk import generate_encryption, generate_signing
from keys.keystore import KeyStore
from tests.acceptance.as4.parties import missing
from tests.acceptance.conforming.bus import NATS
from tests.acceptance.conforming.common import PASSPHRASE
from tests.acceptance.pages import ROOT

ORGANISATION = "411002-health"
SHORT = ("happy-path", "duplicate-sends", "sealed-content", "key-rotation")
"""What an adapter could do wrong though the SDK below it does not; the rest with --conformance-long."""
BESIDE = {
    "exchange": ("tampering",),
    "provincial": ("dying-hub",),
    "bus": ("own-case",),
    "as4": ("resent-year",),
    "out_of_province": ("limits",),
}
"""What takes longer is the same for all of them by its nature, below the adapter: one of them plays it."""
WHERE = {
    "bus": pytest.mark.skipif(NATS is None, reason="no nats-server: apt install nats-server"),
    "as4": pytest.mark.skipif(missing() is not None, reason=missing() or ""),
}
ADAPTERS = [
    pytest.param(kind, marks=[WHERE[kind]] if kind in WHERE else [])
    for kind in ("exchange", "provincial", "bus", "as4", "out_of_province")
]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that lets others in: PostgreSQL runs as a user of its own. The far sides are modules of the tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with tempfile.TemporaryDirectory(prefix="kit-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ADAPTERS)
async def test_a_partner_behind_an_adapter_keeps_to_the_contract(
    place: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    long = request.config.getoption("--conformance-long")
    played = [one for one in SCENARIOS if long or one.name in (*SHORT, *BESIDE[kind])]
    store, keys = KeyStore(place / "keys"), (generate_signing(), generate_encryption())
    store.create()
    for key in keys:
        store.add(key, PASSPHRASE)
    command = shlex.join(_behind(kind, place))
    subject = Commands(place / "system.log", command, trigger=f"{command} --open {{counterpart}}")
    jwks = jwk.public_jwks([key.public for key in keys])
    settings = Settings(ORGANISATION, jwks, place, quick=not long, patience=30.0, scenarios=played,
                        across=kind == "out_of_province")  # fmt: skip
    report = await run(settings, subject)
    if long:
        kept = ROOT / "build" / "conformance" / kind
        kept.mkdir(parents=True, exist_ok=True)
        reports.write(report, kept)
    assert failed(report) == {}, (place / "system.log").read_text("utf-8", "replace")[-6000:]
    assert report.conforms or not long


def _behind(kind: str, place: Path) -> list[str]:
    """The command of the system that stands behind the adapter; between hubs it is any that speaks to its own."""
    keys, state = str(place / "keys"), str(place / "state")
    if kind != "out_of_province":
        return [sys.executable, "-m", f"tests.acceptance.conforming.{kind}", "{hub}", "{organisation}", "{hub_jwks}",
                keys, state]  # fmt: skip
    (place / "passphrase").write_text(PASSPHRASE)
    (place / "passphrase").chmod(0o600)
    return [sys.executable, "-m", "adapters.conformance.reference", "--hub", "{hub}", "--as", "{organisation}",
            "--hub-jwks", "{hub_jwks}", "--keys", keys, "--state", state,
            "--passphrase-file", str(place / "passphrase")]  # fmt: skip


def failed(report: Report) -> dict[str, str]:
    return {one.name: one.finding for one in report.results if one.outcome is not Outcome.PASSED}

"""An organisation that signs with SM2, and nothing else: messages, tokens, acknowledgements, statements, evidence."""

import json
from pathlib import Path

import pytest

from adapters import evidence as evidences
from adapters.client import Refused
from hub.identity import hub_key
from keys import jwk
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, enrolled, mailbox, opened, said
from tests.acceptance.test_vouching_commands import applied, kept, vouched, xieban
from tests.conftest import RunningHub, running_hub

ALLOWED = {"algorithms": ["SM2"]}


async def test_a_case_between_sm2_and_ed25519_ends_with_evidence_that_verifies(hub: RunningHub) -> None:
    here, there = Bureau("411002-health", hub.url, jwk.generate_signing("SM2")), Bureau("440306-health", hub.url)
    hub.enrol([here.record() | ALLOWED, there.record()])
    sent = await opened(here, "case-assistance", "request", [there.id])
    assert [item.event.id for item in await mailbox(there)] == [sent.id]
    await said(there, sent.case, "case-assistance", "accept")
    async with here.client() as client:
        (item,) = (await client.poll(0)).items
        await client.acknowledge(item)
        proof = await evidences.gather(client, sent.case)
    assert evidences.check(proof, [hub_key(hub.data).public], catalogue()).findings == []
    assert audited(hub) == ""
    # A record without a list leaves it as it is; one that leaves no usable key is refused.
    hub.enrol([here.record()])
    await opened(here, "case-assistance", "request", [there.id])


async def test_who_is_not_allowed_sm2_is_told_so_at_import_and_at_sending(hub: RunningHub, tmp_path: Path) -> None:
    there, mixed = Bureau("440307-health"), Bureau("411003-health")
    only = Bureau("411004-health", signing=jwk.generate_signing("SM2"))
    file = tmp_path / "only.json"
    for record, word in (
        (only.record(), '"algorithms": ["SM2"]'),
        (only.record() | {"algorithms": ["RS256"]}, "unknown algorithms RS256"),
        (only.record() | {"algorithms": []}, "may sign with something"),
    ):
        file.write_text(json.dumps([record]))
        done = hub.run("organisations", "import", str(file), "--data", str(hub.data))
        assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr, done.stderr
    enrolled(hub, there, mixed)
    second = jwk.generate_signing("SM2")
    keys = jwk.public_jwks([mixed.signing.public, second.public, mixed.sealing.public])
    hub.enrol([mixed.record() | {"jwks": keys}])
    mixed.signing = second
    with pytest.raises(Refused) as refused:
        await opened(mixed, "case-assistance", "request", [there.id])
    assert refused.value.reason in ("algorithm-not-allowed", "token-invalid")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_chain_signed_with_sm2_is_taken_where_the_hub_says_so(tmp_path: Path, allowed: bool) -> None:
    anchor, county = "410000-supervision", "411002-health"
    assert xieban("keys", "new", "--keys", str(tmp_path / anchor), "--alg", "SM2").returncode == 0
    record = xieban(
        *("keys", "new", "--keys", str(tmp_path / county), "--alg", "SM2", "--json", "--organisation", county),
        *("--name-zh", "魏都区卫生健康委员会", "--name-en", "Weidu Health Commission"),
    )
    assert json.loads(record.stdout)[0]["algorithms"] == ["SM2"]
    kept(tmp_path / "anchor.jwks", xieban("keys", "show", "--keys", str(tmp_path / anchor)))
    applied(tmp_path, county, anchor)
    chain = vouched(tmp_path, county, anchor)
    config = tmp_path / "config.toml"
    trust = f'[trust]\nanchor = "{anchor}"\nanchor_jwks = "{tmp_path / "anchor.jwks"}"\n'
    config.write_text(trust + ('algorithms = ["SM2"]\n' if allowed else ""))
    with running_hub("--config", str(config)) as hub:
        done = hub.run("organisations", "admit", chain, "--data", str(hub.data), "--config", str(config))
        assert (done.returncode == 0) is allowed, done.stderr
        if not allowed:
            assert "vouching-invalid" in done.stderr and "Traceback" not in done.stderr
            return
        shown = hub.run("organisations", "show", county, "--data", str(hub.data), "--json")
        assert json.loads(shown.stdout)["algorithms"] == ["SM2"]

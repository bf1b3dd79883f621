"""The snapshot's documents: renewed when due, in order for a client that saw any earlier state, never backwards."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from hub.snapshot import metadata
from hub.snapshot.metadata import RootInvalid
from keys import jwk

KEY, OFFLINE, OTHER = jwk.generate_signing(), jwk.generate_signing(), jwk.generate_signing()
NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
FILES = {"directory/41.json": b'{"hub":"410000-hub","organisations":[]}'}


def first(files: dict[str, bytes] = FILES) -> metadata.Renewed:
    return metadata.renew({}, files, KEY, NOW, changed=True)


def test_the_first_snapshot_has_every_document_and_every_file() -> None:
    made = first()
    names = metadata.names(made.documents)
    assert made.stored.keys() == {*names.values(), *metadata.named(made.documents)}
    assert (names["root"], names["timestamp"]) == ("1.root.json", "timestamp.json")
    assert metadata.renew(made.documents, FILES, KEY, NOW, changed=False).stored == {}


@given(steps=st.lists(st.tuples(st.timedeltas(timedelta(0), timedelta(days=200)), st.booleans()), max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_client_that_keeps_up_never_sees_a_version_go_back_or_a_document_that_is_over(
    steps: list[tuple[timedelta, bool]],
) -> None:
    now, files, seen = NOW, dict(FILES), first()
    documents = dict(seen.documents)
    roots = [documents["root"]]
    for number, (later, changed) in enumerate(steps):
        now += later
        if changed:
            files["directory/41.json"] = json.dumps({"number": number}).encode()
        before = {role: metadata.version(body) for role, body in documents.items()}
        renewed = metadata.renew(documents, files, KEY, now, changed)
        documents = dict(renewed.documents)
        assert all(metadata.version(body) >= before[role] for role, body in documents.items())
        if documents["root"] != roots[-1]:
            assert metadata.version(documents["root"]) == metadata.version(roots[-1]) + 1
            roots.append(documents["root"])
        trusted = TrustedMetadataSet(roots[0], EnvelopeType.METADATA)
        trusted.reference_time = now
        for root in roots[1:]:
            trusted.update_root(root)
        trusted.update_timestamp(documents["timestamp"])
        trusted.update_snapshot(documents["snapshot"])
        trusted.update_targets(documents["targets"])


def test_a_hub_that_was_restored_to_an_earlier_state_still_goes_forward() -> None:
    lost = metadata.renew(first().documents, {}, KEY, NOW + timedelta(hours=1), changed=True)
    again = metadata.renew(first().documents, FILES, KEY, NOW + timedelta(hours=2), changed=True)
    for role in ("targets", "snapshot", "timestamp"):
        assert metadata.version(again.documents[role]) > metadata.version(lost.documents[role])


def test_an_offline_key_takes_the_root_over_and_the_hub_alone_can_not_take_it_back() -> None:
    root = first().documents["root"]
    second = metadata.next_root(root, KEY, OFFLINE, [KEY], NOW)
    assert metadata.describe(second)[0] == 2 and metadata.describe(second)[2] == [OFFLINE.public.jwk["x"]]
    trusted = TrustedMetadataSet(root, EnvelopeType.METADATA)
    trusted.update_root(second)
    with pytest.raises(RootInvalid, match="another key"):
        metadata.next_root(second, KEY, OTHER, [KEY], NOW)
    third = metadata.next_root(second, KEY, OTHER, [OFFLINE], NOW)
    trusted.update_root(third)
    # When it nears its end the hub leaves it alone: only its own key could renew it.
    documents = {**first().documents, "root": third}
    late = metadata.renew(documents, FILES, KEY, NOW + timedelta(days=360), changed=True)
    assert late.documents["root"] == third


def test_a_root_is_signed_with_ed25519() -> None:
    with pytest.raises(RootInvalid, match="Ed25519"):
        metadata.next_root(first().documents["root"], KEY, jwk.generate_signing("ES256"), [KEY], NOW)

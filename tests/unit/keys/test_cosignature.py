"""Cosignatures as C2SP tlog-cosignature says, checked against a signature made by hand with another library."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys import checkpoint, cosignature, jwk
from keys.checkpoint import Checkpoint
from keys.cosignature import Witness
from keys.errors import BadCheckpoint, MalformedKey

LOG, KEY, OTHER = jwk.generate_signing(), jwk.generate_signing(), jwk.generate_signing()
NAME = "witness.example/w1"
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOTE = checkpoint.sign_checkpoint(Checkpoint("log.example/x", 7, bytes(32)), LOG)
WITNESS = Witness(NAME, KEY.public)


def raw(key: jwk.SigningKey) -> bytes:
    return base64.urlsafe_b64decode(key.public.jwk["x"] + "=")


def test_the_line_is_what_the_specification_says() -> None:
    line = cosignature.cosign(NOTE, NAME, KEY, AT)
    dash, name, encoded = line.strip().split(" ")
    blob = base64.b64decode(encoded)
    text = NOTE.rpartition("\n\n")[0] + "\n"
    assert (dash, name, len(blob)) == ("\u2014", NAME, 4 + 8 + 64)
    assert blob[:4] == hashlib.sha256(NAME.encode() + b"\n\x04" + raw(KEY)).digest()[:4]
    assert int.from_bytes(blob[4:12], "big") == int(AT.timestamp())
    signed = f"cosignature/v1\ntime {int(AT.timestamp())}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(raw(KEY)).verify(blob[12:], signed)


def test_a_cosignature_verifies_beside_the_logs_own_and_strangers_lines() -> None:
    strange = cosignature.cosign(NOTE, "other.example", OTHER, AT)
    note = NOTE + strange + cosignature.cosign(NOTE, NAME, KEY, AT)
    seen, (found,) = cosignature.verify(note, [WITNESS])
    assert (seen.size, found.witness, found.at) == (7, NAME, AT)
    assert checkpoint.verify_checkpoint(note, [LOG.public]) == seen
    assert cosignature.verify(NOTE, [WITNESS])[1] == []
    assert cosignature.verify(note, [Witness(NAME, OTHER.public)])[1] == []


@pytest.mark.parametrize("place", [4, 11, 12, 75])
def test_a_line_that_was_changed_spoils_the_note(place: int) -> None:
    line = cosignature.cosign(NOTE, NAME, KEY, AT)
    blob = bytearray(base64.b64decode(line.split(" ")[2]))
    blob[place] ^= 1
    with pytest.raises(BadCheckpoint):
        cosignature.verify(f"{NOTE}\u2014 {NAME} {base64.b64encode(bytes(blob)).decode()}\n", [WITNESS])


def test_a_line_of_another_length_or_of_another_checkpoint_spoils_the_note() -> None:
    line = cosignature.cosign(NOTE, NAME, KEY, AT)
    blob = base64.b64decode(line.split(" ")[2])
    for wrong in (blob[:-1], blob + b"x", blob[:12]):
        with pytest.raises(BadCheckpoint):
            cosignature.verify(f"{NOTE}\u2014 {NAME} {base64.b64encode(wrong).decode()}\n", [WITNESS])
    other = checkpoint.sign_checkpoint(Checkpoint("log.example/x", 8, bytes(32)), LOG)
    with pytest.raises(BadCheckpoint):
        cosignature.verify(other + line, [WITNESS])


def test_a_verifier_key_is_read_as_it_is_written() -> None:
    assert cosignature.parse_vkey(WITNESS.vkey()).key.jwk["x"] == KEY.public.jwk["x"]
    name, digest, encoded = WITNESS.vkey().split("+", 2)
    log = checkpoint.vkey(NAME, KEY.public)
    for wrong in ("", name, f"{name}+00000000+{encoded}", f"x+{digest}+{encoded}", f"{name}+{digest}+AAAA", log):
        with pytest.raises(MalformedKey):
            cosignature.parse_vkey(wrong)


def test_a_witness_signs_with_ed25519_alone() -> None:
    with pytest.raises(Exception, match="Ed25519"):
        cosignature.cosign(NOTE, NAME, jwk.generate_signing("ES256"), AT)

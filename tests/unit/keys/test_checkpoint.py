"""Checkpoints and signed notes as C2SP writes them, and every way of signing too little."""

from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest

from keys import base64url
from keys.checkpoint import (
    MAX_NOTE,
    MAX_SIGNATURES,
    MAX_SIZE,
    Checkpoint,
    sign_checkpoint,
    verify_checkpoint,
    verify_note,
    vkey,
)
from keys.errors import AlgorithmNotAllowed, BadCheckpoint
from keys.jwk import SigningKey, VerifyingKey, generate_signing, parse_public
from tests.vectors import vectors

PUBLISHED = vectors("tlog")
ORIGIN = "xieban.example/410000-hub/1"
KEY, OTHER = generate_signing(), generate_signing()
CHECKPOINT = Checkpoint(ORIGIN, 123, bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, KEY)
TEXT, LINE = NOTE.split("\n\n")


def key_of(published: str) -> VerifyingKey:
    """The Ed25519 key in a verifier key string."""
    encoded = b64decode(published.split("+", 2)[2])
    assert encoded[:1] == b"\x01"
    key = parse_public({"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(encoded[1:])})
    assert isinstance(key, VerifyingKey)
    return key


def refused(note: str | bytes, *keys: SigningKey, origin: str | None = None) -> str:
    with pytest.raises(BadCheckpoint) as refused:
        verify_checkpoint(note, [key.public for key in keys or (KEY,)], origin)
    return refused.value.detail


def signed(text: str, key: SigningKey = KEY, name: str = ORIGIN) -> str:
    """A note over any text at all, its signature in order."""
    line = sign_checkpoint(Checkpoint(name, 0, bytes(32)), key).split(" ")[2]
    identity = b64decode(line)[:4]
    return f"{text}\n\u2014 {name} {b64encode(identity + key.sign(text.encode())).decode()}\n"


def test_the_published_example_of_a_signed_note_verifies() -> None:
    example = PUBLISHED["note"]
    text = verify_note(example["note"], [key_of(example["vkey"])], example["name"])
    assert text == example["note"].split("\n\n")[0] + "\n"
    assert vkey(example["name"], key_of(example["vkey"])) == example["vkey"]
    with pytest.raises(BadCheckpoint, match="does not verify"):
        verify_note(example["note"].replace("problem is.", "problem is"), [key_of(example["vkey"])], example["name"])


@pytest.mark.parametrize("published", PUBLISHED["vkeys"]["keys"])
def test_a_published_verifier_key_is_written_the_same(published: str) -> None:
    assert vkey(published.split("+")[0], key_of(published)) == published


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    assert f"{ORIGIN}\n123\n{b64encode(bytes(range(32))).decode()}\n" == TEXT + "\n"
    assert LINE.startswith(f"\u2014 {ORIGIN} ") and LINE.endswith("\n")
    assert verify_checkpoint(NOTE, [KEY.public], ORIGIN) == verify_checkpoint(NOTE.encode(), [KEY.public]) == CHECKPOINT


def test_signatures_of_unknown_keys_are_ignored_wherever_they_stand() -> None:
    witness = f"\u2014 witness.example {b64encode(b'abcd' + bytes(72)).decode()}\n"
    same_name = signed(TEXT + "\n", OTHER).split("\n\n")[1]
    for note in (NOTE + witness, f"{TEXT}\n\n{witness}{LINE}", f"{TEXT}\n\n{witness}{same_name}{LINE}{witness}"):
        assert verify_checkpoint(note, [KEY.public]) == CHECKPOINT
    assert verify_checkpoint(NOTE + same_name, [KEY.public, OTHER.public]) == CHECKPOINT


def test_a_signature_of_a_known_key_that_does_not_verify_spoils_the_note() -> None:
    bad = signed("another text\n", OTHER).split("\n\n")[1]
    assert verify_checkpoint(NOTE + bad, [KEY.public]) == CHECKPOINT
    assert "does not verify" in refused(NOTE + bad, KEY, OTHER)


def test_extension_lines_are_signed_and_let_pass() -> None:
    note = signed(TEXT + "\nextension 1\n扩展\n")
    assert verify_checkpoint(note, [KEY.public]) == CHECKPOINT
    assert "does not verify" in refused(note.replace("extension 1", "extension 2"))


def test_a_checkpoint_by_another_key_of_another_log_or_under_another_name_is_refused() -> None:
    assert "no known key" in refused(NOTE, OTHER)
    assert "another log" in refused(NOTE, origin="xieban.example/410000-hub/2")
    assert "no known key" in refused(signed(TEXT + "\n", name="xieban.example/other"))
    with pytest.raises(BadCheckpoint):
        verify_checkpoint(NOTE, [])
    with pytest.raises(BadCheckpoint):
        verify_checkpoint(NOTE, [generate_signing("ES256").public])


@pytest.mark.parametrize("at", [0, len(ORIGIN) + 1, len(TEXT) - 2])
def test_one_changed_character_of_the_text_is_noticed(at: int) -> None:
    refused(NOTE[:at] + ("A" if NOTE[at] != "A" else "B") + NOTE[at + 1 :])


@pytest.mark.parametrize(
    "size", ["-1", "+1", "01", "00", "", " 1", "1 ", "1.0", "1e3", "٣", str(MAX_SIZE + 1), "9" * 5000]
)
def test_a_size_written_in_another_way_is_refused_though_signed(size: str) -> None:
    root = b64encode(bytes(32)).decode()
    refused(signed(f"{ORIGIN}\n{size}\n{root}\n"))


@pytest.mark.parametrize(
    "root", ["", "AAAA", "A" * 43, "A" * 44, b64encode(bytes(33)).decode(), "_" * 43 + "=", "é" * 44]
)
def test_a_root_that_is_no_hash_in_canonical_base64_is_refused_though_signed(root: str) -> None:
    refused(signed(f"{ORIGIN}\n1\n{root}\n"))


@pytest.mark.parametrize(
    "text", ["", "\n", f"{ORIGIN}\n", f"{ORIGIN}\n1\n", f"\n1\n{'A' * 43}=\n", f"{TEXT}\n\nmore\n"]
)
def test_a_text_that_is_no_checkpoint_is_refused_though_signed(text: str) -> None:
    refused(signed(text))


NOTES: list[Callable[[], str | bytes]] = [
    lambda: "",
    lambda: "\n\n",
    lambda: TEXT,
    lambda: TEXT + "\n\n",
    lambda: TEXT + "\n" + LINE,
    lambda: NOTE[:-1],
    lambda: NOTE + "\n",
    lambda: NOTE.replace("\n", "\r\n"),
    lambda: NOTE + "\0",
    lambda: "\ufeff" + NOTE,
    lambda: NOTE.encode("utf-16"),
    lambda: NOTE.encode() + b"\xff",
    lambda: NOTE[:3] + "\ud800" + NOTE[3:],
    lambda: NOTE.replace("\u2014 ", "- "),
    lambda: NOTE.replace("\u2014 ", "\u2014\u00a0"),
    lambda: NOTE.replace(LINE, LINE[:-2] + "\n"),
    lambda: NOTE.replace(LINE, LINE[:-1] + " \n"),
    lambda: NOTE.replace(LINE, LINE[:-1] + " more\n"),
    lambda: f"{TEXT}\n\n\u2014 {ORIGIN}\n",
    lambda: f"{TEXT}\n\n\u2014 {ORIGIN} \n",
    lambda: f"{TEXT}\n\n\u2014 {ORIGIN} AAAA\n",
    lambda: f"{TEXT}\n\n\u2014  AAAAAAAAAAAA\n",
    lambda: f"{TEXT}\n\n\u2014 a+b AAAAAAAA\n",
    lambda: NOTE + LINE * MAX_SIGNATURES,
    lambda: NOTE.replace(TEXT, TEXT + "\n" + "x" * MAX_NOTE),
]


@pytest.mark.parametrize("note", NOTES)
def test_what_is_not_a_signed_note_is_refused(note: Callable[[], str | bytes]) -> None:
    refused(note())


def test_sixteen_signatures_of_great_length_are_taken() -> None:
    witnesses = "".join(f"\u2014 witness.example/{n} {b64encode(bytes(5000)).decode()}\n" for n in range(16))
    assert verify_checkpoint(NOTE + witnesses, [KEY.public]) == CHECKPOINT


@pytest.mark.parametrize("origin", ["", " ", "a b", "a+b", "a\nb", "a\u2003b", "a\tb", "a\0b"])
def test_a_name_that_no_note_can_carry_is_not_signed(origin: str) -> None:
    with pytest.raises(BadCheckpoint):
        sign_checkpoint(Checkpoint(origin, 0, bytes(32)), KEY)
    with pytest.raises(BadCheckpoint):
        vkey(origin, KEY.public)


@pytest.mark.parametrize(("size", "root"), [(-1, bytes(32)), (MAX_SIZE + 1, bytes(32)), (0, b""), (0, bytes(31))])
def test_what_is_no_checkpoint_is_not_signed(size: int, root: bytes) -> None:
    with pytest.raises(BadCheckpoint):
        sign_checkpoint(Checkpoint(ORIGIN, size, root), KEY)


def test_only_ed25519_signs_checkpoints() -> None:
    with pytest.raises(AlgorithmNotAllowed):
        sign_checkpoint(CHECKPOINT, generate_signing("ES256"))

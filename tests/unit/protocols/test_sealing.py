"""Sealing: who can open, and what each check of an opened part refuses."""

import json
from typing import Any

import pytest

from keys import base64url, jwe
from keys.errors import BadSeal
from keys.jwk import generate_encryption
from protocols.sealing import BLOCK, compose, digest, read, seal, unseal

SOURCE = "411002-health"
ID = "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7"
SUBJECT = "019a8f11-04b2-7a6c-8d3e-51f7b90c2a48"
CONTENT = {"narrative": "工地位于示例大道与示例路交叉口东侧。"}
SALT = bytes(range(16))
OURS, THEIRS, STRANGERS = generate_encryption(), generate_encryption(), generate_encryption()


def made(**changes: Any) -> bytes:
    """A plaintext with some of its members changed, padded as it must be."""
    document = {
        "source": SOURCE,
        "id": ID,
        "subject": SUBJECT,
        "salt": base64url.encode(SALT),
        "content": CONTENT,
    }
    text = json.dumps({k: v for k, v in {**document, **changes}.items() if v is not None}).encode()
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def refusal(plaintext: bytes, sealed_digest: str | None = None) -> object:
    with pytest.raises(BadSeal) as refused:
        read(plaintext, sealed_digest or digest(plaintext), SOURCE, ID, SUBJECT)
    return refused.value.data["check"]


def test_a_plaintext_is_valid_json_padded_with_spaces() -> None:
    plaintext = compose(SOURCE, ID, SUBJECT, CONTENT, SALT)
    assert len(plaintext) == BLOCK
    assert plaintext.endswith(b"}" + b" " * (BLOCK - len(plaintext.rstrip())))
    assert json.loads(plaintext) == {
        "source": SOURCE,
        "id": ID,
        "subject": SUBJECT,
        "salt": "AAECAwQFBgcICQoLDA0ODw",
        "content": CONTENT,
    }
    assert "工地" in plaintext.decode("utf-8")


@pytest.mark.parametrize("length", [0, 700, 812, 813, 814, 815, 816, 817, 818, 819, 820, 900, 5000])
def test_every_length_is_padded_to_a_multiple_of_a_kibibyte(length: int) -> None:
    plaintext = compose(SOURCE, ID, SUBJECT, {"note": "x" * length}, SALT)
    assert len(plaintext) % BLOCK == 0
    assert len(plaintext) - len(plaintext.rstrip()) < BLOCK
    assert read(plaintext, digest(plaintext), SOURCE, ID, SUBJECT) == {"note": "x" * length}


@pytest.mark.parametrize("salt", [b"", b"short", bytes(17)])
def test_a_salt_of_another_length_is_not_taken(salt: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        compose(SOURCE, ID, SUBJECT, CONTENT, salt)


def test_the_digest_is_that_of_the_padded_bytes() -> None:
    assert digest(b"abc") == "sha-256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_two_recipients_open_the_same_bytes() -> None:
    part = seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public, THEIRS.public])
    assert unseal(part["sealed"], part["sealed_digest"], SOURCE, ID, SUBJECT, OURS) == CONTENT
    assert unseal(part["sealed"], part["sealed_digest"], SOURCE, ID, SUBJECT, THEIRS) == CONTENT
    assert jwe.unseal(part["sealed"], OURS) == jwe.unseal(part["sealed"], THEIRS)
    assert digest(jwe.unseal(part["sealed"], OURS)) == part["sealed_digest"]


def test_a_p256_key_opens_too() -> None:
    key = generate_encryption("P-256")
    part = seal(SOURCE, ID, SUBJECT, CONTENT, [key.public])
    assert unseal(part["sealed"], part["sealed_digest"], SOURCE, ID, SUBJECT, key) == CONTENT


def test_sealing_twice_gives_another_digest_and_another_ciphertext() -> None:
    one, other = (seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public]) for _ in range(2))
    assert one["sealed_digest"] != other["sealed_digest"]
    assert one["sealed"]["ciphertext"] != other["sealed"]["ciphertext"]


def test_the_same_salt_gives_the_same_digest() -> None:
    one, other = (seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public], SALT) for _ in range(2))
    assert one["sealed_digest"] == other["sealed_digest"]


def test_the_sealed_part_shows_nothing_of_its_content() -> None:
    part = seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public])
    assert "工地" not in json.dumps(part, ensure_ascii=False)
    assert SUBJECT not in json.dumps(part)


def test_a_stranger_can_not_open() -> None:
    part = seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public, THEIRS.public])
    with pytest.raises(BadSeal):
        unseal(part["sealed"], part["sealed_digest"], SOURCE, ID, SUBJECT, STRANGERS)


def test_a_part_altered_on_the_way_does_not_open() -> None:
    part = seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public])
    ciphertext = part["sealed"]["ciphertext"]
    altered = {**part["sealed"], "ciphertext": ("B" if ciphertext[0] == "A" else "A") + ciphertext[1:]}
    with pytest.raises(BadSeal):
        unseal(altered, part["sealed_digest"], SOURCE, ID, SUBJECT, OURS)


@pytest.mark.parametrize(
    ("check", "source", "id", "subject"),
    [
        ("source", "440306-health", ID, SUBJECT),
        ("id", SOURCE, "019aa5b0-7c3e-7d41-9b52-000000000000", SUBJECT),
        ("subject", SOURCE, ID, "019a8f11-04b2-7a6c-8d3e-000000000000"),
    ],
)
def test_a_part_copied_from_another_message_is_refused(check: str, source: str, id: str, subject: str) -> None:
    part = seal(source, id, subject, CONTENT, [OURS.public])
    with pytest.raises(BadSeal) as refused:
        unseal(part["sealed"], part["sealed_digest"], SOURCE, ID, SUBJECT, OURS)
    assert refused.value.data["check"] == check
    assert f"another {check}" in refused.value.detail


def test_an_altered_digest_is_refused() -> None:
    part = seal(SOURCE, ID, SUBJECT, CONTENT, [OURS.public])
    for wrong in (
        digest(b"other"),
        part["sealed_digest"].upper(),
        "",
        "sha-256:",
        part["sealed_digest"][8:],
        "摘要",
    ):
        with pytest.raises(BadSeal) as refused:
            unseal(part["sealed"], wrong, SOURCE, ID, SUBJECT, OURS)
        assert refused.value.data["check"] == "digest"


def test_a_plaintext_that_is_not_padded_is_refused() -> None:
    assert refusal(made().rstrip()) == "padding"
    assert refusal(made() + b" ") == "padding"
    assert refusal(b"") == "padding"


def test_a_plaintext_that_is_not_strict_json_is_refused() -> None:
    assert refusal(b"\xff" * BLOCK) == "json"
    assert refusal(made().rstrip().ljust(BLOCK, b"\0")) == "json"
    twice = b'{"source":"' + SOURCE.encode() + b'",' + made().strip()[1:]
    assert refusal(twice.ljust(BLOCK)) == "json"


@pytest.mark.parametrize(
    "changes", [{"salt": None}, {"subject": None}, {"content": None}, {"extra": "member"}], ids=str
)
def test_a_plaintext_with_other_members_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(made(**changes)) == "members"
    assert refusal(b"[]".ljust(BLOCK)) == "members"


@pytest.mark.parametrize("salt", ["", "AAECAwQFBgcICQoLDA0O", "AAECAwQFBgcICQoLDA0ODw==", "盐" * 8, 16, ["A"]])
def test_a_plaintext_with_another_salt_is_refused(salt: object) -> None:
    assert refusal(made(salt=salt)) == "salt"


@pytest.mark.parametrize("content", ["text", [CONTENT], 5])
def test_content_that_is_not_an_object_is_refused(content: object) -> None:
    assert refusal(made(content=content)) == "content"

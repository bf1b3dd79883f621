"""The key store: what is on disk, who may reach it, what a passphrase opens, and what breaks it."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from jwcrypto import jwa as other_jwa
from jwcrypto import jwe as other_jwe
from jwcrypto import jwk as other_jwk

from keys import base64url, keyfile, keystore
from keys.errors import KeyStoreFault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey, generate_encryption, generate_signing
from keys.keystore import KeyStore, read_passphrase

PASSPHRASE = "一个很长的口令 correct horse"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
SIGNING, SEALING = generate_signing(), generate_encryption("P-256")


@pytest.fixture(autouse=True)
def _no_passphrase_of_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keystore.VARIABLE, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    made = KeyStore(tmp_path / "keys")
    made.create()
    return made


@pytest.fixture
def filled(store: KeyStore) -> KeyStore:
    store.add(SIGNING, PASSPHRASE)
    store.add(SEALING, PASSPHRASE)
    return store


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kids of the keys that were decrypted, in order; decrypting is slow on purpose."""
    kids: list[str] = []
    original = keyfile.decrypt

    def decrypt(token: bytes, kid: str, passphrase: str) -> SigningKey | DecryptionKey:
        kids.append(kid)
        return original(token, kid, passphrase)

    monkeypatch.setattr(keyfile, "decrypt", decrypt)
    return kids


def refusal(store: KeyStore, passphrase: str = PASSPHRASE) -> KeyStoreFault:
    with pytest.raises(KeyStoreFault) as refused:
        store.signing_key(passphrase, NOW)
    return refused.value


def file_of(store: KeyStore, key: SigningKey | DecryptionKey) -> Path:
    return store.directory / f"{key.kid}.jwe"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Acts as a user without rights of their own; only root can."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_was_stored_is_found_again(filled: KeyStore) -> None:
    assert filled.signing_key(PASSPHRASE, NOW).jwk() == SIGNING.jwk()
    assert [key.jwk() for key in filled.decryption_keys(PASSPHRASE)] == [SEALING.jwk()]
    assert filled.kids() == sorted([SIGNING.kid, SEALING.kid])


def test_only_the_owner_can_reach_what_is_stored(filled: KeyStore) -> None:
    assert mode(filled.directory) == 0o700
    assert {mode(path) for path in filled.directory.glob("*.jwe")} == {0o600}


def test_nothing_on_disk_holds_the_private_part(filled: KeyStore) -> None:
    for path in filled.directory.iterdir():
        content = path.read_text()
        assert SIGNING.jwk()["d"] not in content
        assert SEALING.jwk()["d"] not in content


def test_another_library_opens_a_key_file_with_the_passphrase(
    filled: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_jwa, "default_max_pbkdf2_iterations", keyfile.ITERATIONS)
    token = other_jwe.JWE()
    token.allowed_algs = [keyfile.ALG, keyfile.ENC]
    token.deserialize(file_of(filled, SIGNING).read_text(), other_jwk.JWK.from_password(PASSPHRASE))
    assert json.loads(token.payload) == SIGNING.jwk()
    assert json.loads(token.objects["protected"])["p2c"] >= 210_000


def test_the_public_keys_are_listed_without_the_passphrase(filled: KeyStore) -> None:
    assert filled.public_keys() == [SIGNING.public, SEALING.public]
    assert filled.public_jwks() == {"keys": [SIGNING.public.jwk, SEALING.public.jwk]}
    assert json.loads((filled.directory / "jwks.json").read_text()) == filled.public_jwks()


def test_an_empty_store_lists_nothing_and_has_no_key(store: KeyStore) -> None:
    assert store.public_jwks() == {"keys": []}
    assert store.decryption_keys(PASSPHRASE) == []
    assert "no signing key" in refusal(store).detail


def test_creating_a_store_again_changes_nothing(filled: KeyStore) -> None:
    filled.create()
    assert len(filled.kids()) == 2


def test_adding_a_key_again_changes_nothing(filled: KeyStore) -> None:
    filled.add(SIGNING, PASSPHRASE)
    assert sorted(key.kid for key in filled.public_keys()) == filled.kids() == sorted([SIGNING.kid, SEALING.kid])


def test_the_newest_valid_signing_key_signs_and_no_other_is_decrypted(store: KeyStore, opened: list[str]) -> None:
    old = generate_signing(not_before=NOW - 9 * DAY, expires=NOW + DAY)
    new = generate_signing("ES256", not_before=NOW - DAY, expires=NOW + 9 * DAY)
    future = generate_signing(not_before=NOW + DAY)
    for key in (generate_encryption(), old, new, future, generate_signing()):
        store.add(key, PASSPHRASE)
    opened.clear()
    assert store.signing_key(PASSPHRASE, NOW).kid == new.kid
    assert opened == [new.kid]
    assert store.signing_key(PASSPHRASE, NOW - 2 * DAY).kid == old.kid
    assert store.signing_key(PASSPHRASE, NOW + 2 * DAY).kid == future.kid


def test_opening_seals_decrypts_no_signing_key(filled: KeyStore, opened: list[str]) -> None:
    filled.decryption_keys(PASSPHRASE)
    assert opened == [SEALING.kid]


def test_a_store_whose_signing_keys_have_expired_says_so(store: KeyStore) -> None:
    store.add(generate_signing(expires=NOW), PASSPHRASE)
    assert "valid at 2026-03-02T09:00:00+00:00" in refusal(store).detail


def test_a_wrong_passphrase_is_told_from_a_damaged_file(filled: KeyStore) -> None:
    wrong = refusal(filled, "an entirely wrong one")
    assert (wrong.data["check"], SIGNING.kid in wrong.detail) == ("passphrase", True)
    path = file_of(filled, SIGNING)
    whole = path.read_bytes()
    for cut in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert refusal(filled).data["check"] == "damaged"


def test_one_changed_character_of_a_key_file_is_noticed(filled: KeyStore) -> None:
    path = file_of(filled, SIGNING)
    whole = path.read_bytes()
    starts = [0] + [at + 1 for at, byte in enumerate(whole) if byte == ord(".")]
    for at in starts:
        changed = b"A" if whole[at : at + 1] != b"A" else b"B"
        path.write_bytes(whole[:at] + changed + whole[at + 1 :])
        assert refusal(filled).data["check"] in ("damaged", "passphrase")


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "PBES2-HS256+A128KW"},
        {"alg": "dir"},
        {"enc": "A128CBC-HS256"},
        {"p2c": 1},
        {"p2c": 2**31},
        {"p2c": "210000"},
        {"p2c": True},
        {"p2s": ""},
        {"p2s": 1},
        {"p2s": "a b"},
        {"kid": None},
        {"zip": "DEF"},
        {"crit": ["p2c"]},
    ],
)
def test_a_key_file_that_asks_for_other_algorithms_or_endless_work_is_refused(change: dict[str, object]) -> None:
    header, *rest = keyfile.encrypt(SIGNING, PASSPHRASE).split(b".")
    members = {k: v for k, v in (json.loads(base64url.decode(header)) | change).items() if v is not None}
    token = b".".join([base64url.encode(json.dumps(members).encode()).encode(), *rest])
    with pytest.raises(KeyStoreFault) as refused:
        keyfile.decrypt(token, SIGNING.kid, PASSPHRASE)
    assert refused.value.data["check"] == "damaged"


def test_a_key_file_under_another_keys_name_is_refused(filled: KeyStore) -> None:
    file_of(filled, SEALING).replace(file_of(filled, SIGNING))
    assert refusal(filled).data == {"check": "another", "kid": SEALING.kid}


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o644, 0o660, 0o602])
def test_a_key_file_that_others_can_reach_is_refused_with_the_command_that_mends_it(
    filled: KeyStore, bits: int
) -> None:
    path = file_of(filled, SIGNING)
    path.chmod(bits)
    assert f"chmod 600 '{path}'" in refusal(filled).detail
    with pytest.raises(KeyStoreFault, match="chmod 600"):
        filled.public_keys()


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o777, 0o711])
def test_a_directory_that_others_can_reach_is_refused_by_every_call(filled: KeyStore, bits: int) -> None:
    filled.directory.chmod(bits)
    assert f"chmod 700 '{filled.directory}'" in refusal(filled).detail
    for call in (filled.create, filled.public_keys, lambda: filled.add(SIGNING, PASSPHRASE)):
        with pytest.raises(KeyStoreFault, match="chmod 700"):
            call()


def test_a_symbolic_link_in_a_key_files_place_is_refused(filled: KeyStore, tmp_path: Path) -> None:
    path = file_of(filled, SIGNING)
    path.replace(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in refusal(filled).detail
    with pytest.raises(KeyStoreFault, match="is not a file but a link"):
        filled.public_keys()


def test_a_link_left_where_a_new_file_is_written_is_not_followed(store: KeyStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (store.directory / f"{SIGNING.kid}.jwe.new").symlink_to(victim)
    store.add(SIGNING, PASSPHRASE)
    assert victim.read_text() == "untouched"
    assert store.kids() == [SIGNING.kid]


def test_a_pipe_in_a_key_files_place_does_not_block(filled: KeyStore) -> None:
    path = file_of(filled, SIGNING)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "is not a file but a pipe" in refusal(filled).detail


def test_what_is_not_a_directory_or_not_there_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o600)
    for path in (tmp_path / "absent", tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        assert str(path) in refusal(KeyStore(path)).detail
    with pytest.raises(KeyStoreFault):
        KeyStore(tmp_path / "file").create()


def test_a_store_one_may_not_read_and_one_of_somebody_else_are_refused() -> None:
    with TemporaryDirectory() as folder:
        # Not below pytest's own directory, which nobody else may pass through.
        Path(folder).chmod(0o711)
        store = KeyStore(Path(folder) / "keys")
        store.create()
        store.add(SIGNING, PASSPHRASE)
        with somebody_else():
            assert "can't be used: Permission denied" in refusal(KeyStore(store.directory / "below")).detail
        os.chown(store.directory, 12345, 12345)
        with somebody_else():
            assert "belongs to another user" in refusal(store).detail


def test_a_missing_key_file_shows_in_the_list(filled: KeyStore) -> None:
    file_of(filled, SEALING).unlink()
    with pytest.raises(KeyStoreFault) as refused:
        filled.public_keys()
    assert refused.value.data == {"check": "listing", "missing": [SEALING.kid], "unlisted": []}
    assert filled.decryption_keys(PASSPHRASE) == []


def test_a_key_whose_listing_was_interrupted_works_and_is_listed_with_the_next(filled: KeyStore) -> None:
    listing = filled.directory / "jwks.json"
    listing.write_text(json.dumps({"keys": [SEALING.public.jwk]}))
    assert filled.signing_key(PASSPHRASE, NOW).kid == SIGNING.kid
    with pytest.raises(KeyStoreFault) as refused:
        filled.public_keys()
    assert refused.value.data == {"check": "listing", "missing": [], "unlisted": [SIGNING.kid]}
    third = generate_signing()
    filled.add(third, PASSPHRASE)
    assert {key.kid for key in filled.public_keys()} == {SIGNING.kid, SEALING.kid, third.kid}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys":[{"kty":"oct","k":"AA"}]}', '{"keys":1}'])
def test_a_damaged_list_stops_the_list_but_not_the_keys_and_is_made_anew(filled: KeyStore, content: str) -> None:
    (filled.directory / "jwks.json").write_text(content)
    with pytest.raises(KeyStoreFault, match="jwks"):
        filled.public_keys()
    assert filled.signing_key(PASSPHRASE, NOW).kid == SIGNING.kid
    filled.relist(PASSPHRASE)
    assert {key.kid for key in filled.public_keys()} == {SIGNING.kid, SEALING.kid}


def test_a_list_that_says_something_else_of_a_key_than_its_file_is_refused(store: KeyStore) -> None:
    expired = generate_signing(expires=NOW - DAY)
    store.add(expired, PASSPHRASE)
    told = {name: value for name, value in expired.public.jwk.items() if name != "exp"}
    (store.directory / "jwks.json").write_text(json.dumps({"keys": [told]}))
    assert "something else" in refusal(store).detail


def test_all_keys_of_a_store_have_one_passphrase(filled: KeyStore) -> None:
    with pytest.raises(KeyStoreFault) as refused:
        filled.add(generate_signing(), "quite another passphrase")
    assert refused.value.data["check"] == "passphrase"
    assert len(filled.kids()) == 2


@pytest.mark.parametrize("passphrase", ["", "short", "七个字的口令啊"])
def test_a_short_passphrase_is_refused(store: KeyStore, passphrase: str) -> None:
    with pytest.raises(KeyStoreFault, match="at least 8 characters"):
        store.add(SIGNING, passphrase)
    assert store.kids() == []


def test_a_passphrase_is_one_text_however_its_accents_are_typed(store: KeyStore) -> None:
    store.add(SIGNING, "caf\u00e9 caf\u00e9 caf\u00e9")
    assert store.signing_key("cafe\u0301 cafe\u0301 cafe\u0301", NOW).kid == SIGNING.kid


def test_keys_added_at_the_same_time_are_all_listed(store: KeyStore) -> None:
    keys = [generate_signing() for _ in range(6)]
    threads = [threading.Thread(target=KeyStore(store.directory).add, args=(key, PASSPHRASE)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.kid for key in store.public_keys()} == {key.kid for key in keys}
    assert [path.name for path in store.directory.glob("*.new")] == []


def test_foreign_files_in_the_directory_are_left_alone(filled: KeyStore) -> None:
    for name in ("README", "x.jwe", f"{SIGNING.kid}.jwe.new", f"{SIGNING.kid}.jwe~", f"../{SIGNING.kid}x.jwe"):
        (filled.directory / name).write_text("")
    assert filled.kids() == sorted([SIGNING.kid, SEALING.kid])
    assert filled.signing_key(PASSPHRASE, NOW).kid == SIGNING.kid


def test_a_key_file_of_absurd_length_is_not_read(filled: KeyStore) -> None:
    with file_of(filled, SIGNING).open("ab") as file:
        file.truncate(1 << 20)
    assert "too long" in refusal(filled).detail


def test_public_keys_are_of_both_kinds(filled: KeyStore) -> None:
    assert [type(key) for key in filled.public_keys()] == [VerifyingKey, EncryptionKey]


def secret_file(tmp_path: Path, content: bytes, bits: int = 0o600) -> Path:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(bits)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_passphrase_is_the_one_line_of_its_file(tmp_path: Path, end: bytes) -> None:
    assert read_passphrase(secret_file(tmp_path, " 口令 with spaces ".encode() + end)) == " 口令 with spaces "


def test_a_passphrase_file_goes_before_the_variable_and_that_before_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_passphrase(None, lambda: "prompted") == "prompted"
    monkeypatch.setenv(keystore.VARIABLE, "of the environment")
    assert read_passphrase(None, lambda: "prompted") == "of the environment"
    assert read_passphrase(secret_file(tmp_path, b"of the file\n")) == "of the file"


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o644, 0o666])
def test_a_passphrase_file_that_others_can_read_is_refused(tmp_path: Path, bits: int) -> None:
    with pytest.raises(KeyStoreFault, match="chmod 600"):
        read_passphrase(secret_file(tmp_path, b"a passphrase\n", bits))


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"x" * 100_000])
def test_a_passphrase_file_without_exactly_one_line_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyStoreFault):
        read_passphrase(secret_file(tmp_path, content))


def test_a_passphrase_may_come_through_a_link_or_a_pipe(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret_file(tmp_path, b"mounted secret\n"))
    assert read_passphrase(link) == "mounted secret"
    reading, writing = os.pipe()
    os.write(writing, b"piped secret\n")
    os.close(writing)
    assert read_passphrase(Path(f"/dev/fd/{reading}")) == "piped secret"
    os.close(reading)


def test_without_any_passphrase_the_fault_says_how_to_give_one(tmp_path: Path) -> None:
    for prompt in (None, lambda: ""):
        with pytest.raises(KeyStoreFault, match="XIEBAN_PASSPHRASE"):
            read_passphrase(None, prompt)
    with pytest.raises(KeyStoreFault, match="No such file"):
        read_passphrase(tmp_path / "absent")
    with pytest.raises(KeyStoreFault, match="Is a directory"):
        read_passphrase(tmp_path)

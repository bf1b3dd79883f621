"""The desk's store: unreadable without its passphrase, and nothing in it can be altered or exchanged unseen."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.desk.vault import Vault, VaultFault

PASSPHRASE = "一个够长的口令 really"
SECRET = "王示例 411002190001010000"


def test_what_was_put_is_there_again_with_the_passphrase_alone(tmp_path: Path) -> None:
    file = tmp_path / "desk" / "store"
    vault = Vault.open(file, PASSPHRASE)
    vault.put("message", "1", {"narrative": SECRET})
    vault.put("message", "2", [1, None, "二"])
    vault.put("draft", "1", True)
    vault.put("message", "1", {"narrative": SECRET, "again": 1})
    vault.drop("draft", "1")
    vault.close()
    again = Vault.open(file, PASSPHRASE)
    assert again.get("message", "1") == {"narrative": SECRET, "again": 1}
    assert again.all("message") == [("1", {"narrative": SECRET, "again": 1}), ("2", [1, None, "二"])]
    assert again.get("draft", "1") is None and again.all("nothing") == []
    again.close()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(VaultFault, match="wrong passphrase"):
        Vault.open(file, PASSPHRASE + "?")
    with pytest.raises(VaultFault, match="at least"):
        Vault.open(file, "short")


def test_nothing_readable_is_on_disk(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "store", PASSPHRASE)
    for n in range(50):
        vault.put("message", str(n), {"narrative": SECRET})
    vault.drop("message", "7")
    vault.close()
    for file in tmp_path.iterdir():
        held = file.read_bytes()
        assert SECRET.encode() not in held and PASSPHRASE.encode() not in held


def test_values_are_neither_altered_nor_exchanged_unseen(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "store", PASSPHRASE)
    vault.put("message", "1", "one")
    vault.put("message", "2", "two")
    vault.put("draft", "1", "draft")
    database = sqlite3.connect(tmp_path / "store")
    bodies = {(kind, id): body for kind, id, body in database.execute("SELECT kind, id, body FROM value")}
    for at, other in (
        (("message", "1"), bodies["message", "2"]),
        (("message", "1"), bodies["draft", "1"]),
        (("message", "1"), bodies["message", "1"][:-1] + bytes([bodies["message", "1"][-1] ^ 1])),
        (("message", "1"), b""),
    ):
        with database:
            database.execute("UPDATE value SET body = ? WHERE kind = ? AND id = ?", (other, *at))
        with pytest.raises(VaultFault, match="altered"):
            vault.get(*at)
        with pytest.raises(VaultFault, match="altered"):
            vault.all("message")
    assert vault.get("message", "2") == "two"


def test_the_passphrase_is_changed_and_the_old_one_opens_nothing(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "store", PASSPHRASE)
    vault.put("message", "1", SECRET)
    with pytest.raises(VaultFault):
        vault.rekey("not the passphrase", "another passphrase")
    with pytest.raises(VaultFault):
        vault.rekey(PASSPHRASE, "short")
    vault.rekey(PASSPHRASE, "another passphrase")
    vault.close()
    with pytest.raises(VaultFault):
        Vault.open(tmp_path / "store", PASSPHRASE)
    assert Vault.open(tmp_path / "store", "another passphrase").get("message", "1") == SECRET


@settings(max_examples=25, deadline=None)
@given(content=st.binary(min_size=1, max_size=200))
def test_what_is_no_store_is_said_to_be_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("desk") / "store"
    file.write_bytes(content)
    with pytest.raises(VaultFault):
        Vault.open(file, PASSPHRASE)

"""The desk's store: unreadable without a password, and nothing in it can be altered or exchanged unseen."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.desk.vault import Vault, VaultFault, VaultLocked

PASSWORD = "一个够长的口令 really"
SECRET = "王示例 411002190001010000"


def opened(file: Path) -> Vault:
    """A new store with one account."""
    vault = Vault(file)
    vault.admit("zhou", PASSWORD)
    return vault


def test_what_was_put_is_there_again_with_a_password_alone(tmp_path: Path) -> None:
    file = tmp_path / "desk" / "store"
    vault = opened(file)
    vault.put("message", "1", {"narrative": SECRET})
    vault.put_many([("message", "2", [1, None, "二"]), ("draft", "1", True)])
    vault.put("message", "1", {"narrative": SECRET, "again": 1})
    vault.drop("draft", "1")
    vault.close()
    again = Vault(file)
    assert again.locked and again.accounts() == ["zhou"]
    for touch in (lambda: again.get("message", "1"), lambda: again.put("message", "1", 1)):
        with pytest.raises(VaultLocked):
            touch()
    for name, password in (("zhou", PASSWORD + "?"), ("zhou", ""), ("nobody", PASSWORD), ("", "")):
        with pytest.raises(VaultLocked):
            again.unlock(name, password)
    again.unlock("zhou", PASSWORD)
    assert again.get("message", "1") == {"narrative": SECRET, "again": 1}
    assert again.all("message") == [("1", {"narrative": SECRET, "again": 1}), ("2", [1, None, "二"])]
    assert again.get("draft", "1") is None and again.all("nothing") == []
    again.lock()
    with pytest.raises(VaultLocked):
        again.all("message")
    again.close()
    assert file.stat().st_mode & 0o077 == 0


def test_every_account_opens_it_with_its_own_password(tmp_path: Path) -> None:
    vault = opened(tmp_path / "store")
    vault.put("message", "1", SECRET)
    vault.admit("li.na", "another password")
    vault.admit("zhou", "a new password")
    vault.lock()
    with pytest.raises(VaultLocked):
        vault.admit("thief", "password of a thief")
    with pytest.raises(VaultLocked):
        vault.unlock("zhou", PASSWORD)
    for name, password in (("zhou", "a new password"), ("li.na", "another password")):
        vault.lock()
        vault.unlock(name, password)
        assert vault.get("message", "1") == SECRET
    vault.expel("li.na")
    vault.lock()
    with pytest.raises(VaultLocked):
        vault.unlock("li.na", "another password")


def test_nothing_readable_is_on_disk(tmp_path: Path) -> None:
    vault = opened(tmp_path / "store")
    for n in range(50):
        vault.put("message", str(n), {"narrative": SECRET})
    vault.drop("message", "7")
    vault.copy(tmp_path / "copy")
    vault.close()
    for file in tmp_path.iterdir():
        held = file.read_bytes()
        assert SECRET.encode() not in held and PASSWORD.encode() not in held


def test_a_copy_holds_what_there_is_and_opens_with_the_same_passwords(tmp_path: Path) -> None:
    vault = opened(tmp_path / "store")
    vault.put("message", "1", SECRET)
    vault.copy(tmp_path / "copy")
    vault.put("message", "2", "later")
    copy = Vault(tmp_path / "copy")
    copy.unlock("zhou", PASSWORD)
    assert copy.all("message") == [("1", SECRET)]
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0


def test_values_are_neither_altered_nor_exchanged_unseen(tmp_path: Path) -> None:
    vault = opened(tmp_path / "store")
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


def test_nobody_gets_the_password_of_another_by_moving_it(tmp_path: Path) -> None:
    vault = opened(tmp_path / "store")
    vault.admit("li.na", "another password")
    database = sqlite3.connect(tmp_path / "store")
    with database:
        database.execute("UPDATE lock SET body = (SELECT body FROM lock WHERE name = 'li.na') WHERE name = 'zhou'")
    with pytest.raises(VaultLocked):
        vault.unlock("zhou", "another password")


@settings(max_examples=25, deadline=None)
@given(content=st.binary(min_size=1, max_size=200))
def test_what_is_no_store_is_said_to_be_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("desk") / "store"
    file.write_bytes(content)
    with pytest.raises(VaultFault):
        Vault(file)

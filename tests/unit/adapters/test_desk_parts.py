"""The desk's smaller parts: keys and their copies, files sealed as they come in, the hub recognised, locking."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.client.answers import Name
from adapters.client.attachments import parts
from adapters.desk import digest, habits, joining
from adapters.desk.bureau import found, turns
from adapters.desk.desk import BackupInvalid, Desk
from adapters.desk.drafts import DraftChanged, Drafts, sheet
from adapters.desk.enclosures import EnclosureInvalid, Enclosures
from adapters.desk.habits import Habits, HabitsInvalid, Mail
from adapters.desk.joining import HubKnown, JoiningInvalid
from adapters.desk.keyring import Keyring, KeysInvalid
from adapters.desk.vault import Vault, VaultFault, VaultLocked
from keys import jwk
from keys.keystore import KeyStore
from protocols.loading import catalogue

PASSWORD = "staple-staple"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = Vault(tmp_path / "desk.db")
    made.admit("zhou", PASSWORD)
    return made


# What is due ----------------------------------------------------------------------------------------------


def test_turns_are_told_apart_by_their_day() -> None:
    def case(due: str | None, *awaits: str) -> dict[str, Any]:
        return {"awaits": list(awaits), "due": due and {"date": due}}

    cases = [case("2026-12-02", "us"), case(None, "us"), case("2026-12-01", "us", "them"), case("2026-11-30", "us"),
             case("2026-11-01", "us"), case("2026-11-01", "them")]  # fmt: skip
    apart = turns(cases, "us", date(2026, 12, 1))
    assert (apart.late, apart.now, apart.rest) == (
        [cases[4], cases[3]],
        [cases[2]],
        [cases[0], cases[1]],
    )
    told = digest.made("魏都", "us", date(2026, 12, 1), date(2026, 12, 2), cases, [], 0,
                       lambda one: ("", "", "", (one["due"] or {}).get("date", "")))  # fmt: skip
    assert [len(rows) for rows in (told.overdue, told.today, told.soon)] == [2, 1, 1]
    assert "超期 2，今日到期 1" in told.subject


# Who is meant ---------------------------------------------------------------------------------------------

LISTED = [
    {"id": id, "name": {"zh": zh, "en": en}}
    for id, zh, en in (
        ("440306-health", "宝安区卫生健康局", "Bao'an Health"),
        ("411002-health", "魏都区卫生健康委员会", "Weidu Health"),
        ("500112-health", "重庆市渝北区卫生健康委员会", "Yubei Health"),
    )
]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("宝安卫健", ["440306-health"]),
        ("baoanqu", ["440306-health"]),
        ("baqwsjkj", ["440306-health"]),
        ("深圳 卫健", ["440306-health"]),
        ("440306", ["440306-health"]),
        ("chongqing", ["500112-health"]),
        ("BAO", ["440306-health"]),
        ("卫生健康", ["440306-health", "411002-health", "500112-health"]),
        ("税务", []),
        ("", []),
    ],
)
def test_an_authority_is_found_as_people_call_it(wanted: str, meant: list[str]) -> None:
    assert [one["id"] for one in found(LISTED, wanted)] == meant


# Keys -----------------------------------------------------------------------------------------------------


def test_a_copy_of_the_keys_brings_them_back_with_its_passphrase_alone(vault: Vault, tmp_path: Path) -> None:
    ring = Keyring(vault)
    assert ring.signing(()) is None
    made = ring.make()
    lines = [line for _, line in ring.backup("apart from it")]
    other = Vault(tmp_path / "other.db")
    other.admit("chen", PASSWORD)
    taken = Keyring(other)
    for text, passphrase in (("\n".join(lines), "wrong one"), ("", "apart from it"), (lines[0][:-4], "apart from it")):
        with pytest.raises(KeysInvalid):
            taken.take(text, passphrase)
        assert taken.private() == []
    # Typed from paper, its lines broken wherever the paper breaks them.
    typed = "\n".join(text[at : at + 48] for text in lines for at in range(0, len(text), 48))
    assert taken.take(typed, "apart from it") == 2
    assert taken.take(" \n".join(lines), "apart from it") == 2
    assert {key.kid for key in taken.private()} == {key.kid for key in made}
    with pytest.raises(KeysInvalid):
        ring.backup("short")


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=200) | st.text("abcABC-_.", max_size=200))
def test_what_is_no_copy_of_keys_is_said_to_be_none(text: str) -> None:
    ring = Keyring.__new__(Keyring)
    with pytest.raises(KeysInvalid):
        ring.take(text, "a passphrase")


def test_keys_are_taken_from_a_key_store_of_the_command_line(vault: Vault, tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    store.create()
    key = jwk.generate_signing()
    store.add(key, "correct horse")
    assert Keyring(vault).take_from(tmp_path / "keys", "correct horse") == 1
    found = Keyring(vault).signing(())
    assert found is not None and found.kid == key.kid
    for folder in (tmp_path / "nothing", tmp_path / "desk.db"):
        with pytest.raises(KeysInvalid):
            Keyring(vault).take_from(folder, "correct horse")


def test_a_fresh_key_signs_once_the_hub_lists_it(vault: Vault) -> None:
    ring = Keyring(vault)
    old = jwk.generate_signing("Ed25519", datetime(2026, 1, 1, tzinfo=UTC))
    new = jwk.generate_signing("Ed25519", datetime(2026, 2, 1, tzinfo=UTC))
    ring._keep([old, new])
    for listed, expected in (((), new), ((old.kid,), old), ((old.kid, new.kid), new), (("another",), new)):
        found = ring.signing(listed)
        assert found is not None and found.kid == expected.kid


# Files ----------------------------------------------------------------------------------------------------


async def streamed(content: bytes, piece: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), piece):
        yield content[at : at + piece]


@settings(max_examples=12, deadline=None)
@given(
    size=st.sampled_from([1, 100, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20]),
    piece=st.sampled_from([1 << 12, 65_521, 1 << 18, 1 << 22]),
)
def test_a_file_is_sealed_as_it_comes_in_and_opens_again(
    tmp_path_factory: pytest.TempPathFactory, size: int, piece: int
) -> None:
    content = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    enclosures = Enclosures(tmp_path_factory.mktemp("files"))
    manifest = asyncio.run(enclosures.take("C:\\案卷\\工资条.jpg", streamed(content[:size], piece)))
    assert (manifest.name, manifest.size, manifest.media_type) == ("工资条.jpg", size, "image/jpeg")
    sealed = enclosures.sealed(manifest)
    assert b"".join(parts(sealed.blob, manifest)) == content[:size]
    if size > 100:
        assert content[:100] not in sealed.blob.read_bytes()
    assert [file.name for file in enclosures.folder.iterdir()] == [sealed.blob.name]
    enclosures.drop(manifest)
    assert list(enclosures.folder.iterdir()) == []


async def test_an_empty_file_and_one_that_is_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enclosures = Enclosures(tmp_path / "files")
    with pytest.raises(EnclosureInvalid):
        await enclosures.take("empty", streamed(b"", 10))
    monkeypatch.setattr("adapters.desk.enclosures.MOST", 1000)
    with pytest.raises(EnclosureInvalid):
        await enclosures.take("large", streamed(b"x" * 1001, 100))
    assert list((tmp_path / "files").iterdir()) == []


def test_a_draft_is_changed_by_who_read_it_last_alone(vault: Vault, tmp_path: Path) -> None:
    drafts = Drafts(vault, Enclosures(tmp_path / "files"))
    made = sheet("errand", "1.0", "request", "zhou", case=None, to="440306-health", opening=True)
    drafts.keep(made)
    mine, theirs = drafts.one(made.id), drafts.one(made.id)
    assert mine is not None and theirs is not None
    theirs.state = "queued"
    drafts.keep(theirs)
    mine.data["urgency"] = "urgent"
    for change in (drafts.keep, drafts.discard, drafts.renumber):
        with pytest.raises(DraftChanged):
            change(mine)
    kept = drafts.one(made.id)
    assert kept is not None and kept.state == "queued" and kept.data == {}
    kept.state = "sent"
    drafts.keep(kept)
    assert drafts.all("draft", "queued") == [] and [one.id for one in drafts.all("sent")] == [made.id]


async def test_a_folder_has_one_desk_and_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    (folder / "enclosures").mkdir(parents=True)
    folder.chmod(0o777)
    (folder / "backup-1.zip").write_bytes(b"half of it")
    desk = Desk(folder, catalogue())
    assert not (folder / "backup-1.zip").exists() and folder.stat().st_mode & 0o077 == 0
    with pytest.raises(VaultFault, match="another desk"):
        Desk(folder, catalogue())
    await desk.begin("zhou", "周明", PASSWORD)
    with pytest.raises(BackupInvalid):
        await desk.begin("thief", "贼", PASSWORD)
    assert [one.name for one in desk.officers.present()] == ["zhou"]
    desk.close()
    Desk(folder, catalogue()).close()


# Joining --------------------------------------------------------------------------------------------------


def test_a_hub_is_recognised_by_every_one_of_its_keys() -> None:
    keys = [jwk.generate_signing().public for _ in range(2)]
    hub = HubKnown("https://hub.example", "410000-hub", Name("河南", "Henan"), "origin", [dict(k.jwk) for k in keys])
    one, two = hub.fingerprints()
    for said in (f"{one} {two}", f"{two}，{one}", f"{one[:16]}\n{two[:20]}", f"另有 {one};{two}"):
        assert hub.recognised(said)
    for said in ("", one, f"{one[:15]} {two}", f"{one} {two[:-1]}x", f"{one[1:]} {two}", "-" * 43):
        assert not hub.recognised(said)


def test_a_bureau_is_named_by_its_place_and_department() -> None:
    bureau = joining.described("魏都区", "health", "魏都区卫生健康委员会", "", None)
    assert bureau.id == "411002-health" and bureau.role == "bureau" and bureau.name.en.isascii()
    assert joining.described("411002", "health", "委员会", "Commission", "x").name.en == "Commission"
    assert (
        joining.described("河南省许昌市", "civil-affairs", "民政局", "", "x", "supervisor").id == "411000-civil-affairs"
    )
    with pytest.raises(JoiningInvalid, match="110105"):
        joining.described("朝阳区", "health", "卫健委", "", None)
    for place, branch in (("不存在", "health"), ("", "health"), ("魏都区", "magic"), ("魏都区", "")):
        with pytest.raises(Exception, match=r"division|department|id"):
            joining.described(place, branch, "名称", "", None)
    for more in (("", ""), ("名" * 61, ""), ("名\n称", "")):
        with pytest.raises(JoiningInvalid):
            joining.described("411002", "health", *more, None)


def test_keys_of_a_lost_machine_are_published_no_more(vault: Vault) -> None:
    ring = Keyring(vault)
    moments = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
    signing = [jwk.generate_signing("Ed25519", moment) for moment in moments]
    opening = [jwk.generate_encryption("X25519", moment) for moment in moments]
    ring._keep([*signing, *opening])

    def listed(*retired: str) -> set[str]:
        return {key.kid for key in joining.published(ring, retired)}

    everything = {key.kid for key in signing} | {key.kid for key in opening}
    assert listed() == listed("another") == everything
    assert listed(signing[1].kid) == {signing[2].kid, opening[2].kid}
    assert listed(opening[0].kid) == everything - {opening[0].kid}
    bureau = joining.described("411002", "health", "名称", "", "411000-health")
    (written,) = joining.record(bureau, ring, [signing[1].kid])
    assert {key["kid"] for key in written["jwks"]["keys"]} == {signing[2].kid, opening[2].kid}
    assert joining.application(bureau, ring, [signing[2].kid], datetime.now(UTC)) is None


# Habits ---------------------------------------------------------------------------------------------------


def test_habits_are_kept_and_impossible_ones_refused(vault: Vault) -> None:
    assert habits.load(vault) == Habits()
    wanted = Habits(
        lock_after=5, digest="mail", mail=Mail("mail.example", 465, "tls", "a", "b", "a@x.cn", "b@x.cn c@x.cn")
    )
    habits.save(vault, wanted)
    assert habits.load(vault) == wanted
    for bad in (
        Habits(lock_after=4),
        Habits(digest_at="25:00"),
        Habits(digest="mail"),
        Habits(digest="mail", mail=Mail("mail.example", 465, "tls", "", "", "no address", "b@x.cn")),
        Habits(digest="mail", mail=Mail("mail.example", 25, "none", "account", "password", "a@x.cn", "b@x.cn")),
    ):
        with pytest.raises(HabitsInvalid):
            habits.save(vault, bad)
    assert habits.load(vault) == wanted


async def test_a_desk_at_which_nobody_works_forgets_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.desk.desk.EVERY", 0.02)
    desk = Desk(tmp_path, catalogue())
    desk.officers.add("zhou", "周明", "head", PASSWORD)
    token = await desk.enter("zhou", PASSWORD)
    desk.keyring.make()
    watch = asyncio.create_task(desk.watch())
    await asyncio.sleep(0.1)
    assert not desk.vault.locked and desk.officers.of(token) is not None
    habits.save(desk.vault, Habits(stays_open=True))
    desk.officers.idle = 0.05
    await asyncio.sleep(0.2)
    still_open = not desk.vault.locked
    assert still_open and not desk.officers.anybody()
    habits.save(desk.vault, Habits())
    await asyncio.sleep(0.2)
    assert desk.vault.locked
    with pytest.raises(VaultLocked):
        desk.keyring.private()
    await desk.enter("zhou", PASSWORD)
    assert len(desk.keyring.private()) == 2
    watch.cancel()
    desk.close()

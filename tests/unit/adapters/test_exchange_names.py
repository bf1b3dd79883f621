"""Names of files: those that mean the same everywhere are taken as they are, every other one gets one of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange import names


@pytest.mark.parametrize("name", ["a.json", "请求 1.json", "a..b.xlsx", "x" * 175 + ".json", "À.jose", "(1).xlsx"])
def test_plain_names_stay(name: str) -> None:
    assert names.plain(name) and names.shown(name) == name


@pytest.mark.parametrize(
    "name",
    ["../a.json", "a/b.json", "a\\b.json", "C:a.json", "con", "NUL.json", "com1.xlsx", "a\n.json", "a\x00.json", "a.",
     "a ", " a", "-rf", "a\u202egnp.json", "\udcff.json", "字" * 61 + ".json", "", "a*.json", "a\x7f"],
)  # fmt: skip
def test_others_do_not(name: str) -> None:
    assert not names.plain(name)
    assert names.plain(names.shown(name)) and names.shown(name) != names.shown(name + "x")


@pytest.mark.parametrize(
    "name", [".a.json", "a.json.tmp", "a.part", "A.FILEPART", "a.json~", "~$a.xlsx", "Thumbs.db", "a.xlsx.crdownload"]
)
def test_what_is_not_finished_is_left_alone(name: str) -> None:
    assert names.passed_over(name)


def test_what_lies_beside_a_file_is_no_file_of_its_own() -> None:
    assert names.beside("a.json.sig") and names.beside("a.json.READY") and not names.beside("a.json")
    assert not names.passed_over("a.json")


@given(st.text(st.characters(), max_size=300))
def test_any_name_has_one_that_can_be_written_and_is_kept_as_it_was(name: str) -> None:
    assert names.plain(names.shown(name))
    assert len(names.raw(names.shown(name)) + b".receipts.json.sig") < 255
    assert names.unraw(names.raw(name)) == name
    assert names.shown(name).encode()  # it is a text


def test_a_number_goes_before_the_ending() -> None:
    assert names.numbered("a.b.json", "2") == "a.b.2.json"
    assert names.numbered("a", "2") == "a.2" and names.numbered(".a", "2") == ".a.2"
    assert names.same("É.JSON") == names.same("e\u0301.json")

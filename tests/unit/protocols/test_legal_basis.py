"""The register of legal bases: what is in force on which day, and what a refusal says."""

from datetime import date, timedelta

import pytest

from protocols.errors import BasisNotInForce, BasisRepealed, BasisUnknown
from protocols.legal_basis import in_force, register

TODAY = date(2026, 11, 24)


def test_the_assistance_article_is_in_force() -> None:
    found = in_force("npc-70-2021", TODAY)
    assert found.title["zh"] == "中华人民共和国行政处罚法"
    assert [use.article for use in found.uses] == [26]


def test_the_regulation_of_2009_is_refused_since_september_2021() -> None:
    with pytest.raises(BasisRepealed) as refused:
        in_force("sc-555-2009", TODAY)
    assert refused.value.code == "basis-repealed"
    assert refused.value.data["since"] == "2021-09-09"
    assert refused.value.data["repealed_by"] == "国务院令第747号"
    assert refused.value.data["replaced_by"] is None
    assert "国务院令第555号" in refused.value.detail and "2021-09-09" in refused.value.detail


@pytest.mark.parametrize(
    ("old", "new", "since"),
    [
        ("npc-76-2017", "npc-70-2021", date(2021, 7, 15)),
        ("npc-16-1999", "npc-9-2023", date(2024, 1, 1)),
        ("npc-38-2005", "npc-49-2025", date(2026, 1, 1)),
        ("npc-17-2004", "npc-47-2025", date(2025, 9, 1)),
        ("sc-1982", "sc-381-2003", date(2003, 8, 1)),
        ("sc-431-2005", "cpc-sc-2022", date(2022, 5, 1)),
    ],
)
def test_the_old_text_ends_on_the_day_the_new_one_begins(old: str, new: str, since: date) -> None:
    assert in_force(old, since - timedelta(days=1)).replaced_by == new
    assert in_force(new, since).id == new
    with pytest.raises(BasisRepealed) as refused:
        in_force(old, since)
    assert (refused.value.data["since"], refused.value.data["replaced_by"]) == (since.isoformat(), new)
    assert f"cite {new}" in refused.value.detail


def test_a_text_not_yet_in_force_is_refused_with_its_day() -> None:
    with pytest.raises(BasisNotInForce) as refused:
        in_force("npc-49-2025", date(2025, 12, 31))
    assert refused.value.data["effective"] == "2026-01-01"


def test_an_unknown_basis_is_refused() -> None:
    with pytest.raises(BasisUnknown) as refused:
        in_force("sc-999-2020", TODAY)
    assert refused.value.data["basis"] == "sc-999-2020"


def test_every_entry_is_whole() -> None:
    assert len(register()) >= 25
    for found in register().values():
        assert set(found.title) == {"zh", "en"} and all(found.title.values())
        assert found.number and found.issuer and found.source.startswith("https://")
        assert found.in_force_on(found.effective)
        assert (found.repealed is None) == (found.repealed_by is None)
        assert found.repealed is None or found.effective < found.repealed
        assert found.replaced_by is None or found.replaced_by in register()
        assert all(use.text["zh"] and use.text["en"] for use in found.uses)


def test_an_id_carries_the_number_of_the_order() -> None:
    for found in register().values():
        parts = found.id.split("-")
        if len(parts) == 3 and parts[1].isdigit():
            assert found.number == ("主席令" if parts[0] == "npc" else "国务院令") + f"第{parts[1]}号"

"""What goes onto the bus: subjects that match only themselves, settings without secrets, results without content."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bus import bus, check, events
from adapters.bus.events import Place
from adapters.bus.settings import Settings, secret, settings, tls
from adapters.running.configuration import AdapterConfigInvalid, Common, Section
from adapters.running.partner import Offer, Outcome, Wanted

PLACE = Place("xieban", "xieban.result")


def section(**own: Any) -> Section:
    common = Common(hub="http://hub", organisations=("411002-health",), keys=Path("keys"), store=Path("store"))
    return Section("bus", common, {"servers": ["nats://127.0.0.1"]} | own)


@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_a_subject_has_as_many_words_as_were_given_and_none_matches_others(words: list[str]) -> None:
    made = events.subject(*words).split(".")
    assert len(made) == len(words)
    assert all(word and word.isascii() and not set(word) & set("*># \t\r\n\0") for word in made)


def test_the_types_of_messages_are_subjects_as_they_are() -> None:
    assert events.subject("411002-health", "case-assistance", "propose-date") == (
        "411002-health.case-assistance.propose-date"
    )


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ({"servers": []}, "addresses"),
        ({"servers": ["nats://me:secret@127.0.0.1"]}, "files"),
        ({"servers": ["http://127.0.0.1"]}, "nats://"),
        ({"servers": ["nats://a", "amqp://b"]}, "nats://"),
        ({"prefix": "xieban.>"}, "prefix"),
        ({"wanted": "a b"}, "wanted"),
        ({"results": "x.*.y"}, "results"),
        ({"wanted": "xieban"}, "of their own"),
        ({"stream": "A.B"}, "stream"),
        ({"user": "me"}, "together"),
        ({"timeout": 0}, "timeout"),
        ({"password": "secret"}, "password"),
    ],
)
def test_a_section_that_can_not_be_used_says_why(own: dict[str, Any], why: str) -> None:
    one = section(**own)
    with pytest.raises(AdapterConfigInvalid, match=why):
        bus(one, settings(one))


def test_results_go_below_the_prefix_unless_said() -> None:
    assert settings(section(prefix="henan.case")).results == "henan.case.result"
    assert settings(section(results="elsewhere")).results == "elsewhere"


def test_a_secret_is_one_line_of_a_file_that_others_can_not_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    assert secret(file) == "s3cret"
    for text, mode in (("", 0o600), ("a\nb", 0o600), ("s3cret", 0o644)):
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(AdapterConfigInvalid, match="token"):
            secret(file)
    with pytest.raises(AdapterConfigInvalid, match="TLS"):
        tls(Settings(servers=("tls://127.0.0.1",), ca_file=tmp_path / "none.pem"))


def test_a_section_is_checked_without_calling_anybody(tmp_path: Path) -> None:
    for server in ("nats://127.0.0.1:1", "amqp://127.0.0.1:1"):
        assert check(section(servers=[server])) == []
        (found,) = check(section(servers=[server], user="me", password_file=str(tmp_path / "none")))
        assert "none" in found
    assert "certificate" in str(check(section(servers=["amqps://a"], certificate_file=str(tmp_path / "certificate"))))
    assert "prefix" in str(check(section(prefix="*")))
    assert check(section(wanted="w")) != []  # no key store


def test_a_result_quotes_nothing_that_was_sealed() -> None:
    said = Wanted(source="411002-health", type="errand.request", data={}, content={"narrative": "王小明"})
    refused = Outcome(None, None, None, "/narrative: '王小明' is too short")
    for wanted, quoted in ((said, False), (None, True)):
        made = events.result(PLACE, "411002-health", Offer(key="k", wanted=wanted), refused, None)
        assert made.subject == "xieban.result.411002-health"
        assert ("王小明" in made.body.decode()) is quoted

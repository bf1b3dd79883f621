"""config.toml: what may stand in it, and that the file in the repository says the defaults."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from hub import config
from hub.config import Config, ConfigInvalid

SHIPPED = Path(__file__).parents[3] / "config.toml"


def test_the_shipped_file_says_every_setting_with_its_default() -> None:
    assert config.load(SHIPPED) == Config() == config.load(None)
    said = tomllib.loads(
        re.sub(
            r"^# (url|replica|folder|anchor|anchor_jwks|store|endpoint) =",
            r"\1 =",
            SHIPPED.read_text("utf-8"),
            flags=re.M,
        )
    )
    sections = msgspec.to_builtins(Config())
    assert {name: set(section) for name, section in said.items()} == {
        name: set(section) for name, section in sections.items()
    }


def test_the_page_about_limits_says_the_defaults(tmp_path: Path) -> None:
    page = (SHIPPED.parent / "docs" / "limits.md").read_text("utf-8")
    (told,) = re.findall(r"```toml\n(.*?)```", page, re.S)
    (tmp_path / "config.toml").write_text(told)
    assert config.load(tmp_path / "config.toml") == Config()
    assert set(tomllib.loads(told)["limits"]) == set(msgspec.to_builtins(Config().limits))


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "[hub]\nnmae = 1",
        "[hub]\nid = 5",
        "[hub]\nid = 'Henan'",
        "[hub",
        "[database]\nurl = []",
        "[database]\nreplica = 'postgresql://there'",
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigInvalid, match=str(tmp_path)):
        config.load(tmp_path / "config.toml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        config.load(tmp_path / "none.toml")

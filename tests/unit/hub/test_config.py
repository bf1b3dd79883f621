"""config.toml: what may stand in it, and that the file in the repository says the defaults."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from hub import config
from hub.config import Config, ConfigInvalid
from protocols import beginning, loading
from protocols.refusals import CatalogueInvalid

SHIPPED = Path(__file__).parents[3] / "config.toml"


def test_the_shipped_file_says_every_setting_with_its_default() -> None:
    assert config.load(SHIPPED) == Config() == config.load(None)
    commented = r"^# (url|replica|besides|folder|anchor|anchor_jwks|store|endpoint) ="
    said = tomllib.loads(re.sub(commented, r"\1 =", SHIPPED.read_text("utf-8"), flags=re.M))
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
    "text", ["x = 1", "[hub]\nnmae = 1", "[hub]\nid = 5", "[hub]\nid = 'Henan'", "[hub", "[database]\nurl = []"]
)
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigInvalid, match=str(tmp_path)):
        config.load(tmp_path / "config.toml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        config.load(tmp_path / "none.toml")


def test_protocols_of_ones_own_stand_besides_and_are_found_from_where_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beginning.begin("shared-patrol", "联合巡查", "Shared patrol", tmp_path / "etc/ours")
    file = tmp_path / "etc/config.toml"
    file.write_text('[protocols]\nbesides = "ours"\n')
    shipped = loading.catalogue().protocols.keys()
    for place, named in ((tmp_path, file), (file.parent, Path("config.toml")), (Path("/"), file)):
        monkeypatch.chdir(place)
        assert config.load(named).catalogue().protocols.keys() == shipped | {("shared-patrol", "1.0")}
    file.write_text('[protocols]\nfolder = "ours"\n')
    assert set(config.load(file).catalogue().protocols) == {("shared-patrol", "1.0")}
    file.write_text('[protocols]\nbesides = "theirs"\n')
    with pytest.raises(CatalogueInvalid, match=str(file.parent / "theirs")):
        config.load(file).catalogue()

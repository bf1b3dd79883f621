"""An organisation joins without a shared secret: it applies, its superiors vouch, the hub verifies up to its anchor."""

import json
import os
import subprocess
from pathlib import Path

from tests.acceptance.bureaus import audited
from tests.acceptance.desks import HERE, NAMES, PASSWORD, Desk, Person, fingerprints
from tests.conftest import XIEBAN, running_hub


def xieban(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XIEBAN_PASSPHRASE": "a passphrase of this test"}
    command = [*XIEBAN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def kept(path: Path, done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    path.write_text(done.stdout)
    return str(path)


def applied(folder: Path, name: str, superior: str, *options: str) -> str:
    names = ("--name-zh", f"机构 {name}", "--name-en", f"Body {name}")
    arguments = ("keys", "apply", "--keys", str(folder / name), "--organisation", name, "--superior", superior)
    return kept(folder / f"{name}.jwt", xieban(*arguments, *names, *options))


def vouched(folder: Path, name: str, superior: str, *options: str) -> str:
    arguments = ("keys", "vouch", str(folder / f"{name}.jwt"), "--keys", str(folder / superior), "--as", superior)
    return kept(folder / f"{name}.chain", xieban(*arguments, *options))


def test_one_command_on_each_side_and_a_dry_run_that_shows_the_chain(tmp_path: Path) -> None:
    anchor, city, county = "410000-supervision", "411000-supervision", "411002-health"
    for name in (anchor, city, county):
        assert xieban("keys", "new", "--keys", str(tmp_path / name)).returncode == 0
    kept(tmp_path / "anchor.jwks", xieban("keys", "show", "--keys", str(tmp_path / anchor)))
    applied(tmp_path, city, anchor, "--role", "supervisor")
    above = vouched(tmp_path, city, anchor, "--division", "4110")
    applied(tmp_path, county, city)
    chain = vouched(tmp_path, county, city, "--chain", above)
    config = tmp_path / "config.toml"
    config.write_text(f'[trust]\nanchor = "{anchor}"\nanchor_jwks = "{tmp_path / "anchor.jwks"}"\n')
    with running_hub("--config", str(config)) as hub:
        admit = ("organisations", "admit", chain, "--data", str(hub.data), "--config", str(config))
        dry = hub.run(*admit, "--dry-run")
        assert dry.returncode == 0 and f"{county} → {city} → {anchor}" in dry.stdout, dry.stderr
        assert "not-found" in hub.run("organisations", "show", county, "--hub", hub.url).stderr
        done = hub.run(*admit, "--json")
        assert (done.returncode, json.loads(done.stdout)["entries"]) == (0, 3), done.stderr
        assert json.loads(hub.run(*admit, "--json").stdout)["entries"] == 0
        shown = hub.run("organisations", "show", county, "--hub", hub.url, "--json")
        assert json.loads(shown.stdout)["superior"] == city
        forged = tmp_path / "forged.chain"
        forged.write_text("\n".join(Path(chain).read_text().split()[:2]))
        refused = hub.run("organisations", "admit", str(forged), "--data", str(hub.data), "--config", str(config))
        assert refused.returncode == 1 and "vouching-invalid" in refused.stderr
        without = hub.run("organisations", "admit", chain, "--data", str(hub.data))
        assert without.returncode != 0 and "anchor" in without.stderr
        assert audited(hub) == ""


async def test_a_desk_applies_and_is_admitted_by_the_chain(tmp_path: Path) -> None:
    anchor = "410000-supervision"
    assert xieban("keys", "new", "--keys", str(tmp_path / anchor)).returncode == 0
    kept(tmp_path / "anchor.jwks", xieban("keys", "show", "--keys", str(tmp_path / anchor)))
    config = tmp_path / "config.toml"
    config.write_text(f'[trust]\nanchor = "{anchor}"\nanchor_jwks = "{tmp_path / "anchor.jwks"}"\n')
    with running_hub("--config", str(config)) as hub:
        desk = Desk(hub, tmp_path, HERE).start()
        try:
            async with Person(desk) as head:
                place, department, zh, en = NAMES[HERE]
                account = {"name": "zhou", "full_name": "周明", "password": PASSWORD, "again": PASSWORD}
                bureau = {"place": place, "department": department, "zh": zh, "en": en, "superior": anchor}
                for path, form in (
                    (desk.first, account),
                    ("/setup/hub", {"url": hub.url}),
                    ("/setup/recognise", {"fingerprints": fingerprints(hub)}),
                    ("/setup/bureau", bureau),
                    ("/setup/keys", {}),
                ):
                    assert (await head.post(path, form)).status == 200, path
                applied = await head.get("/setup/application")
                assert applied.headers["Content-Type"].startswith("application/jwt")
                (tmp_path / f"{HERE}.jwt").write_bytes(applied.body)
                chain = vouched(tmp_path, HERE, anchor, "--division", "4110")
                done = hub.run("organisations", "admit", chain, "--data", str(hub.data), "--config", str(config))
                assert done.returncode == 0, done.stderr
                await head.until("/setup", "已登记，可以办案了")
        finally:
            desk.stop()
        assert audited(hub) == ""

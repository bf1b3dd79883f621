"""`deploy/systemd/` under a systemd that runs, by the commands of `docs/installation.md` and `docs/adapters/`."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.acceptance import machine
from tests.acceptance.machine import Machine
from tests.acceptance.pages import ROOT, blocks

PAGE = (ROOT / "docs/installation.md").read_text("utf-8")
ADAPTERS = (ROOT / "docs/adapters/README.md").read_text("utf-8")
EXCHANGE = (ROOT / "docs/adapters/exchange.md").read_text("utf-8")
ADAPTER = "xieban-adapter@exchange"
QUESTIONS = " --id 410000-hub --name 河南省协办枢纽 --database ''"
READY = "curl -sf http://127.0.0.1:8420/readyz"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def booted(request: pytest.FixtureRequest) -> Iterator[Machine]:
    if not request.config.getoption("--systemd"):
        pytest.skip("with --systemd: a machine is started")
    if why := machine.why_not():
        pytest.skip(why)
    with machine.machine() as found:
        yield found


def test_the_pages_commands_make_a_service_that_is_backed_up_and_comes_back(booted: Machine) -> None:
    service, backup = (block for block in blocks(PAGE, "sh") if "systemctl" in block)
    *making, doctor = service.replace("xieban init", f"xieban init{QUESTIONS}").strip().splitlines()
    booted.shell("cd /opt/xieban/code\n" + "\n".join(making))
    booted.shell(READY)  # started means that it is ready
    assert "nothing wrong" in booted.shell(doctor)
    assert booted.shell("systemctl show --value --property User xieban").strip() == "xieban"
    entered = booted.shell("journalctl --unit xieban --output cat")
    assert '"event": "worker-ready"' in entered

    key = "XIEBAN_BACKUP_PASSPHRASE=change-me-too xieban backup key --out /root/backup.key > backup.pub"
    copying = "cp /opt/xieban/code/deploy/systemd/* deploy/systemd/"
    booted.shell(f"mkdir -p /root/away/deploy/systemd; cd /root/away; {copying}; {key}\n{backup}")
    assert "xieban-backup.timer" in booted.shell("systemctl list-timers --all --no-pager")
    booted.shell("systemctl start xieban-backup.service")
    (file,) = booted.shell("ls /var/lib/xieban-backups").split()
    assert file.endswith(".age")

    before = main_process(booted)
    booted.shell(f"kill -9 {before}")
    booted.until(f'[ "$(systemctl show --value --property MainPID xieban)" != {before} ] && {READY}')
    assert booted.shell("systemctl show --value --property NRestarts xieban").strip() == "1"
    booted.shell("systemctl stop xieban")
    assert booted.shell("systemctl show --value --property Result xieban").strip() == "success"
    assert not re.search("[^ ]", booted.tried("pgrep -u xieban").stdout.strip())


def test_an_adapter_is_a_service_that_goes_on_where_it_was(booted: Machine) -> None:
    section, commands = (block for kind in ("toml", "sh") for block in blocks(ADAPTERS, kind) if "/var/lib/" in block)
    booted.shell(f"cat >> /etc/xieban/config.toml <<'end'\n{section}end\nsystemctl start xieban")
    other = "xieban keys new --keys /root/baoan --organisation 440306-health --name-zh 宝安区卫生健康局 --name-en Baoan"
    booted.shell(f"export XIEBAN_PASSPHRASE=change-me-as-well; {other} > baoan.json; "
                 "xieban organisations import baoan.json --data /var/lib/xieban")  # fmt: skip
    assert "nothing wrong" in booted.shell(f"cd /opt/xieban/code; {commands.replace('weidu.json', '/root/weidu.json')}")
    files = "/var/lib/xieban-adapters/exchange/files"
    (asking,) = (block for block in blocks(EXCHANGE, "sh") if "ask.json.part" in block)
    booted.shell(asking.replace("files/in", f"{files}/in"))
    receipt = f"{files}/receipts/ask.json.receipt.json"
    assert json.loads(booted.until(f"cat {receipt}"))["taken"] is True

    before = main_process(booted, ADAPTER)
    booted.shell(f"kill -9 {before}")
    booted.until(f'[ "$(systemctl show --value --property MainPID {ADAPTER})" != {before} ]')
    booted.shell(asking.replace("files/in", f"{files}/in").replace("12号", "13号").replace("ask.json", "again.json"))
    booted.until(f"cat {files}/receipts/again.json.receipt.json")
    booted.shell(f"systemctl stop {ADAPTER} xieban")
    for unit in (ADAPTER, "xieban"):
        assert booted.shell(f"systemctl show --value --property Result {unit}").strip() == "success"


def main_process(booted: Machine, unit: str = "xieban") -> str:
    return booted.shell(f"systemctl show --value --property MainPID {unit}").strip()

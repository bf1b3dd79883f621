"""`deploy/Containerfile` built and run by podman, with the commands of `docs/installation.md`."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.pages import ROOT, blocks
from tests.conftest import free_port

PAGE = (ROOT / "docs/installation.md").read_text("utf-8")
NAME, DATA = "xieban-tried", "xieban-tried-data"
pytestmark = pytest.mark.timeout(900)


def shell(script: str) -> str:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, capture_output=True, text=True,
                          timeout=600, check=False)  # fmt: skip
    assert done.returncode == 0, (script, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout.strip()


@pytest.fixture(scope="module")
def container(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container that was built and started by the page's commands: where its hub is."""
    base = request.config.getoption("--container")
    if base is None:
        pytest.skip("with --container IMAGE, a base image")
    if shutil.which("podman") is None:
        pytest.skip("no podman: the container is not built")
    dist, port = tmp_path_factory.mktemp("dist"), free_port()
    (commands,) = (block for block in blocks(PAGE, "sh") if "podman build" in block)
    wheel, build, run, _ = commands.strip().splitlines()
    shell(f"{wheel} ARGS='--to {dist}'")
    gone = f"podman rm --force --ignore --time 1 {NAME}; podman volume rm --force {DATA}"
    shell(gone)
    shell(build.replace(" dist", f" {dist}").replace("--tag xieban", f"--tag {NAME} --build-arg PYTHON={base}"))
    placed = (
        run.replace("--name xieban", f"--name {NAME}").replace("hub-data:", f"{DATA}:").replace(":8420:", f":{port}:")
    )
    try:
        shell(re.sub(r" xieban$", f" {NAME}", placed))
        yield f"http://127.0.0.1:{port}"
    finally:
        shell(f"{gone}; podman rmi --force {NAME}")


def ready(url: str) -> dict[str, object]:
    """What the hub says of itself, once it is ready."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5), urllib.request.urlopen(f"{url}/v1/hub") as answer:
                found: dict[str, object] = json.load(answer)
                return {name: value for name, value in found.items() if name != "time"}
        except OSError:
            assert time.monotonic() < end, shell(f"podman logs {NAME} 2>&1 | tail -20")
            time.sleep(0.2)


def test_a_container_runs_a_hub_that_is_the_same_after_a_kill_and_after_a_stop(container: str) -> None:
    first = ready(container)
    assert shell(f"podman exec {NAME} id -u") == "10001"
    shell(f"podman healthcheck run {NAME}")
    doctor = blocks(PAGE, "sh")
    (asked,) = (line for block in doctor for line in block.splitlines() if line.startswith("podman exec"))
    assert "nothing wrong" in shell(asked.replace("exec xieban", f"exec {NAME}"))
    shell(f"podman kill --signal KILL {NAME}; podman wait {NAME}; podman start {NAME}")
    assert ready(container) == first
    shell(f"podman stop {NAME}")
    assert shell(f"podman inspect --format '{{{{.State.ExitCode}}}}' {NAME}") == "0"
    shell(f"podman start {NAME}")
    assert ready(container) == first


def test_it_takes_a_configuration_of_ones_own_and_refuses_a_wrong_one(container: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[server]\nhost = "0.0.0.0"\nhosst = 1\n')
    config.chmod(0o644)
    done = subprocess.run(
        ["podman", "run", "--rm", "--volume", f"{config}:/etc/xieban/config.toml:ro", NAME],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and "hosst" in done.stderr and "Traceback" not in done.stderr

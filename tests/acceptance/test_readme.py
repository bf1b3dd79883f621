"""What the README says is run: the demo, and the lines of SDK."""

import asyncio
import re
import socket
import subprocess
import types
from pathlib import Path

from adapters.client import Client
from keys import jwk
from protocols.loading import catalogue
from tests.conftest import XIEBAN, RunningHub

README = Path(__file__).parents[2] / "README.md"


def test_the_demo_works_cases_kills_the_hub_verifies_and_audits(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    options = ["--exit", "--cases", "24", "--port", port, "--data", str(tmp_path / "demo")]
    done = subprocess.run([*XIEBAN, "demo", *options], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL" in done.stdout
    assert "every receipt verified offline; audit passed" in done.stdout


def test_the_lines_of_sdk_open_a_case_and_read_a_mailbox(hub: RunningHub) -> None:
    example = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[0]
    module = types.ModuleType("example")
    exec(example.replace("http://127.0.0.1:8420", hub.url), module.__dict__)
    keys = {name: (jwk.generate_signing(), jwk.generate_encryption()) for name in ("411002-health", "440306-health")}
    hub.enrol(
        [
            {
                "id": name,
                "name": {"zh": name, "en": name},
                "superior": None,
                "roles": ["bureau"],
                "jwks": jwk.public_jwks([signing.public, sealing.public]),
            }
            for name, (signing, sealing) in keys.items()
        ]
    )
    request = catalogue().protocols["case-assistance", "1.0"].messages["request"].schema.document["examples"][0]

    async def both() -> object:
        signing, sealing = keys["440306-health"]
        async with Client(hub.url, "440306-health", signing, [sealing]) as there:
            await there.open_case("411002-health", request, {"narrative": "请协助。"})
            await module.work(*keys["411002-health"], request)
            page = await there.poll(after=0)
            return there.unseal(page.items[0])

    assert asyncio.run(both()) == {"narrative": "请协助查明有关情况。"}

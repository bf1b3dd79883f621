"""An exchange by files at work in a test: its folders, its station, what lies where."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from adapters.client import Patience
from adapters.exchange import partner
from adapters.exchange.exchange import Exchange
from adapters.running.configuration import section
from adapters.running.partner import Own
from tests.acceptance.bureaus import Bureau, content, example
from tests.acceptance.stations import running


def configured(folder: Path, who: Bureau, own: str) -> Path:
    """A configuration with `[adapters.exchange]`."""
    file = folder / "config.toml"
    file.write_text(
        f'[adapters.exchange]\nhub = "{who.url}"\norganisation = "{who.id}"\nkeys = "keys"\nstore = "store"\n'
        f"every = 0.1\n{own}\n"
    )
    return file


@contextlib.asynccontextmanager
async def at_work(folder: Path, who: Bureau, own: str = 'root = "files"\nsettle = 0.1') -> AsyncIterator[Exchange]:
    """The adapter, running."""
    found = section(configured(folder, who, own), "exchange")
    made = partner(found, lambda _: True)
    assert isinstance(made, Exchange)
    clients = {who.id: lambda: who.client(patience=Patience(within=1))}
    made.meet(Own(clients, who.signing))
    async with running(folder / "store", made, clients, 0.1):
        yield made


def asked(to: Bureau, **changed: Any) -> bytes:
    """The JSON of an errand."""
    said = {"type": "errand.request", "to": [to.id], "data": example("errand", "request"),
            "content": content("errand", "request")}  # fmt: skip
    return json.dumps(said | changed, ensure_ascii=False).encode()


def put(files: Path, name: str, body: bytes) -> None:
    """Hand a file in as one should."""
    (files / "in").mkdir(parents=True, exist_ok=True)
    (files / "in" / f"{name}.part").write_bytes(body)
    (files / "in" / f"{name}.part").rename(files / "in" / name)


def lying(folder: Path) -> list[str]:
    """The files of a folder, signatures and unfinished ones left out."""
    if not folder.exists():
        return []
    return sorted(one.name for one in folder.iterdir() if not one.name.endswith((".sig", ".tmp", ".tmp.sig")))


def read(file: Path) -> dict[str, Any]:
    """The JSON in a file."""
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found

"""Two versions of a protocol side by side: a case stays on the one that it was opened with."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapters.client import Refused
from protocols import loading
from protocols.loading import Catalogue
from tests.acceptance.bureaus import Bureau, content, enrolled, example, view
from tests.conftest import RunningHub, running_hub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")


def newer(folder: Path) -> Catalogue:
    """The shipped catalogue with a second version of case-assistance, whose answer has one more field."""
    shutil.copytree(loading.FOLDER, folder)
    shutil.copytree(folder / "case-assistance/1.0", folder / "case-assistance/1.1")
    flow = folder / "case-assistance/1.1/flow.toml"
    flow.write_text(flow.read_text("utf-8").replace('version = "1.0"', 'version = "1.1"', 1), "utf-8")
    file = folder / "case-assistance/1.1/open/answer.json"
    schema = json.loads(file.read_text("utf-8"))
    days = {"title": "核查天数", "x-title-en": "Days it took", "type": "integer", "minimum": 0, "maximum": 999}
    schema["properties"]["days"] = days
    file.write_text(json.dumps(schema, ensure_ascii=False), "utf-8")
    return loading.load(folder)


async def sent(bureau: Bureau, known: Catalogue | None, case: str | None, message: str, **more: Any) -> str:
    data, sealed = example("case-assistance", message) | more, content("case-assistance", message)
    async with bureau.client(catalogue=known) as client:
        if case is None:
            return (await client.open_case(THERE.id, data, sealed)).case
        return (await client.reply_in(case, message, data, sealed)).case


async def test_old_cases_go_on_as_they_began_and_new_ones_by_the_new_version(tmp_path: Path) -> None:
    both = newer(tmp_path / "catalogue")
    config = tmp_path / "config.toml"
    config.write_text("")
    with running_hub("--config", str(config)) as hub:
        enrolled(hub, HERE, THERE)
        old = await sent(HERE, None, None, "request")
        await sent(THERE, None, old, "accept")
        hub.stop()
        config.write_text(f'[protocols]\nfolder = "{tmp_path / "catalogue"}"\n')
        hub.start()
        new = await sent(HERE, both, None, "request")
        assert (await view(HERE, old))["version"] == "1.0"
        await sent(THERE, both, new, "accept")
        with pytest.raises(Refused) as refused:
            await sent(THERE, both, old, "answer", days=3)
        assert refused.value.reason == "data-invalid"
        await sent(THERE, both, old, "answer")
        await sent(THERE, both, new, "answer", days=3)
        assert (await view(HERE, new))["version"] == "1.1"
        await mixed(hub, both, new)
        done = hub.run("audit", "--data", str(hub.data), "--config", str(config))
        assert done.returncode == 0, done.stderr
        hub.stop()
        without = hub.run("serve", "--data", str(hub.data), "--port", str(hub.port))
        assert without.returncode == 1 and "cases follow case-assistance 1.1" in without.stderr
        assert "Traceback" not in without.stderr


async def mixed(hub: RunningHub, both: Catalogue, case: str) -> None:
    """A message of the one version does not fit in a case of the other."""
    async with HERE.client(catalogue=both) as here:
        draft = await here.prepare_reply(case, "close", example("case-assistance", "close"))
        attributes = json.loads(json.dumps(draft.event.data))
        assert draft.event.dataschema.endswith("/1.1/close") and attributes is not None
    async with HERE.client() as here:
        here._cases._versions[case] = "1.0"
        with pytest.raises(Refused) as refused:
            await here.send("case-assistance.close", case, [THERE.id], example("case-assistance", "close"))
        assert refused.value.reason == "dataschema-mismatch"

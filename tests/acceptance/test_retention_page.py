"""`docs/retention.md`, command for command."""

import asyncio
from pathlib import Path

from tests.acceptance.bureaus import Bureau, enrolled, opened, said
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import running_hub

PAGE = (ROOT / "docs/retention.md").read_text("utf-8")


async def ended(a: Bureau, b: Bureau) -> str:
    case = (await opened(a, "case-assistance", "request", [b.id])).case
    for who, message in ((b, "accept"), (b, "answer"), (a, "close")):
        await said(who, case, "case-assistance", message)
    return case


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    months, case = blocks(PAGE, "sh")
    (tmp_path / "hub").mkdir()
    with running_hub(data=tmp_path / "hub") as hub:
        a, b = Bureau("411002-health"), Bureau("440306-health")
        enrolled(hub, a, b)
        id = asyncio.run(ended(a, b))
        assert in_shell(months, tmp_path, hub).count("nothing is past its time") == 2
        words = in_shell(case, tmp_path, hub, CASE=id)
        assert "would be erased: 4" in words and "erased: 4" in words and "everything holds" in words

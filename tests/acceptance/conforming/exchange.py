"""A partner with nothing but files: it reads `out/`, and puts its answers into `in/`."""

import asyncio
import json
from pathlib import Path

from tests.acceptance.conforming.common import ASKED, KNOWN, LOOK, Given, keep, replies, run


async def work(given: Given) -> None:
    """Look at the folders again and again."""
    files, read = given.state / "files", given.state / "read"
    for folder in (files / "in", files / "out", read):
        folder.mkdir(parents=True, exist_ok=True)
    async with given.adapter("exchange", {"root": "files", "settle": 0.1}):
        while True:
            for file in sorted((files / "out").glob("*.json")):
                answer(file, files / "in")
                file.rename(read / file.name)
            for name, wanted in given.wishes():
                keep(files / "in" / f"open.{name}.json", wanted | {"type": ASKED, "to": [wanted["to"]]})
                given.handed(name)
            for file in (files / "receipts").glob("open.*.receipt.json"):
                given.opened(file.name.split(".")[1])
            await asyncio.sleep(LOOK)


def answer(file: Path, into: Path) -> None:
    """Put in what is to be answered to a message, if it asks for something and could be opened."""
    said = json.loads(file.read_bytes())
    event, content = said["event"], said["content"]
    if event["type"] != ASKED or event["dataschema"] != KNOWN or content is None:
        return
    for message, data, told in replies(content["reference"]):
        wanted = {"type": f"case-assistance.{message}", "case": event["subject"], "causationid": event["id"],
                  "data": data}  # fmt: skip
        keep(into / f"{event['id']}.{message}.json", wanted | ({} if told is None else {"content": told}))


if __name__ == "__main__":
    run(work)

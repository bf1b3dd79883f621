"""What every command that sends has in common: keep the bytes, send them, keep the receipt, say so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer

from adapters.client import Client, Draft, Refused, Sent
from adapters.client import attachments as sealing
from hub.commands import files
from hub.commands.faults import UsageFault
from hub.commands.output import as_json, say
from keys.errors import BadSeal
from protocols import attachments, entries, receipt
from protocols.between_hubs import Relayed
from protocols.receipt import Receipt


async def deliver(
    client: Client, draft: Draft, preflight: bool, receipt_to: Path | None, message_to: Path | None
) -> Sent | None:
    """Send a draft, or with `preflight` only ask about it and report that. Raises Refused, Undecided and others."""
    if preflight:
        verdict = await client.preflight(draft)
        as_json(verdict)
        if not verdict.acceptable:
            raise typer.Exit(1)
        return None
    files.keep(message_to, draft.compact)
    sent = await client.resend(draft)
    keep_receipt(receipt_to, sent.receipt)
    return sent


@contextlib.asynccontextmanager
async def attached(
    client: Client, keys: Path, named: Sequence[Path] | None, data: dict[str, Any], content: Any
) -> AsyncIterator[tuple[dict[str, Any], Any]]:
    """Both parts with the files sealed, uploaded and named; what was kept for a second try goes once it is sent.

    Raises UsageFault where there is no sealed part to describe them in.
    """
    if not named:
        yield data, content
        return
    if not isinstance(content, dict):
        raise UsageFault("--attach needs a sealed part, which describes the files: add --sealed")
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    sealed = [await asyncio.to_thread(sealing.seal, path, keys / "attachments") for path in named]
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=Console(stderr=True),
                  transient=True) as bar:  # fmt: skip
        for one in sealed:
            task = bar.add_task(one.manifest.name)
            await client.attach(one, lambda done, size, task=task: bar.update(task, completed=done, total=size))  # type: ignore[misc]
    yield attachments.attached(data, content, [one.manifest for one in sealed])
    for one in sealed:
        one.forget()


async def fetched(client: Client, case: str, into: Path) -> AsyncIterator[dict[str, Any]]:
    """Every attachment that this organisation can open of a case, fetched into a folder."""
    seen: set[str] = set()
    for step in (await client.case(case))["timeline"]:
        try:
            item = await client.message(step["source"], step["id"])
            content = client.unseal(item)
            handed = [one.content for one in await client.handed_over(item)]
        except (Refused, BadSeal) as fault:
            if isinstance(fault, Refused) and fault.reason not in ("forbidden", "gone"):
                raise
            continue
        for part in (content, *handed):
            for manifest in attachments.manifests(part):
                if manifest.attachment not in seen:
                    seen.add(manifest.attachment)
                    file = await client.fetch_attachment(manifest, into)
                    yield {"file": str(file), "size": manifest.size, "digest": manifest.digest,
                           "source": item.event.source, "message": item.event.id}  # fmt: skip


def keep_receipt(path: Path | None, given: Receipt) -> None:
    """Write a receipt where it was asked for, as `verify` reads it."""
    files.keep(path, msgspec.json.format(msgspec.json.encode(given), indent=2) + b"\n")


def report(sent: Sent | None, json: bool) -> None:
    """Say what was taken: its ids, and what the log has of it."""
    if sent is None:
        return
    accepted = entries.decode(receipt.leaf(sent.receipt.log))
    assert isinstance(accepted, entries.Accepted | Relayed)
    recipients = list(accepted.recipients) or list(accepted.via or {})
    if json:
        as_json(
            {
                "id": sent.id,
                "case": sent.case,
                "type": accepted.type,
                "recipients": recipients,
                "accepted": accepted.at,
                "due": accepted.due,
                "receipt": sent.receipt,
            }
        )
        return
    here = isinstance(accepted, entries.Accepted)
    said = "已受理 · accepted" if here else "已转送案件所在枢纽 · on its way to its home"
    say(f"{said} {accepted.at}: {accepted.type} → {' '.join(recipients)}")
    say(f"消息 message {sent.id}\n案件 case    {sent.case}")
    if accepted.due:
        say(f"期限 due     {accepted.due}")

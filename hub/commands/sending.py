"""What every command that sends has in common: keep the bytes, send them, keep the receipt, say so."""

from pathlib import Path

import msgspec
import typer

from adapters.client import Client, Draft, Sent
from hub.commands import files
from hub.commands.output import as_json, say
from protocols import entries, receipt
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


def keep_receipt(path: Path | None, given: Receipt) -> None:
    """Write a receipt where it was asked for, as `verify` reads it."""
    files.keep(path, msgspec.json.format(msgspec.json.encode(given), indent=2) + b"\n")


def report(sent: Sent | None, json: bool) -> None:
    """Say what was taken: its ids, and what the log has of it."""
    if sent is None:
        return
    accepted = entries.decode(receipt.leaf(sent.receipt.log))
    assert isinstance(accepted, entries.Accepted)
    if json:
        as_json(
            {
                "id": sent.id,
                "case": sent.case,
                "type": accepted.type,
                "recipients": list(accepted.recipients),
                "accepted": accepted.at,
                "due": accepted.due,
                "receipt": sent.receipt,
            }
        )
        return
    say(f"已受理 · accepted {accepted.at}: {accepted.type} → {' '.join(accepted.recipients)}")
    say(f"消息 message {sent.id}\n案件 case    {sent.case}")
    if accepted.due:
        say(f"期限 due     {accepted.due}")

"""What is sealed, what is large, what expired, and what somebody altered on the way."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.conformance import faults
from adapters.conformance.counterpart import Opened
from adapters.conformance.faults import polls
from adapters.conformance.stage import ANSWERS, Stage

WATCHED = 1.5
"""Seconds for which something must not happen."""
LARGEST = 570
"""KiB of plaintext whose message, twice in base64, is a little below 1 MiB."""


async def sealed_content(stage: Stage) -> None:
    """A request to two: whoever receives the answer can open it. What does not open is not answered as if read."""
    (shared,) = await stage.open(stage.request(others=[stage.there]))
    await stage.answered(shared)
    answer = stage.came(shared, "answer")
    if answer is not None and stage.there.id in answer.event.recipients:
        await stage.until(
            lambda: stage.came(shared, "answer", stage.there) is not None,
            "参与方也收到答复",
            "the participant receives the answer too",
        )
        stage.answers_well(shared, stage.there)
    spoilt = await stage.open(*[stage.request(spoil=spoil) for spoil in (garbled, misdigested, _transplanted(stage))])
    after = await stage.case()
    await stage.answered(after)
    await asyncio.sleep(1.0)
    for case in spoilt:
        _unanswered(stage, case, "打不开的请求没有当作已读来答复", "what can't be opened is not answered as if read")


def garbled(part: dict[str, Any]) -> dict[str, Any]:
    """The ciphertext is altered: it does not open."""
    text = part["sealed"]["ciphertext"]
    flipped = ("B" if text[0] == "A" else "A") + text[1:]
    return part | {"sealed": part["sealed"] | {"ciphertext": flipped}}


def misdigested(part: dict[str, Any]) -> dict[str, Any]:
    """It opens, and is not what the open part's digest names."""
    return part | {"sealed_digest": "sha-256:" + "0" * 64}


def _transplanted(stage: Stage) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """It opens, and was sealed for another message."""

    def spoil(part: dict[str, Any]) -> dict[str, Any]:
        _, other = stage.request()
        return {name: other.event.data[name] for name in ("sealed", "sealed_digest")}

    return spoil


def _unanswered(stage: Stage, case: Opened, zh: str, en: str) -> None:
    stage.expect(not [one for one in stage.sendings(case.case) if one.event.type in ANSWERS], zh, en)


async def limits(stage: Stage) -> None:
    """The largest message, the most recipients, the largest page, positions that expired."""
    large = stage.request(kib=LARGEST)
    size = len(large[1].compact)
    stage.expect((1 << 20) * 0.95 < size <= 1 << 20, "消息接近 1 MiB", f"the message is nearly 1 MiB ({size} bytes)")
    crowded = stage.request(others=stage.crowd)
    recipients = len(crowded[1].event.recipients)
    stage.expect(recipients == 32, "共 32 个接收机构", "there are 32 recipients")
    with stage.proxy.under(faults.limited(500)):
        with stage.held():
            cases = await stage.open(large, crowded)
            await _expired(stage, cases[0])
            count = 40 if stage.quick else 500
            await stage.here.client.send_many([stage.drafted_update(cases[0]) for _ in range(count)])
            cases.append(await stage.case())
        await stage.answered(*cases, within=stage.patience * 2)
    stage.once(*cases)


async def _expired(stage: Stage, case: Opened) -> None:
    """A reminder that is gone before it is read."""
    until = datetime.now(UTC) + timedelta(seconds=0.6)
    reminder = stage.here.drafted("remind", case.case, [stage.partner], {"about": "accept"}, expirytime=until)
    await stage.here.client.resend(reminder)
    await stage.until(
        lambda: any(one.event.type.endswith(".undelivered") for one in stage.here.came.get(case.case, [])),
        "催办已过期",
        "the reminder has expired",
        within=20,
    )


async def tampering(stage: Stage) -> None:
    """On its way a message is altered, or its receipt, or the proof in it; in the end all come as they are."""
    for change in map(_items, ALTERATIONS):
        with stage.held():
            case = await stage.case()
        # Nothing is awaited between the two rules: no untouched page slips through.
        with stage.proxy.under(faults.altered(polls, change)):
            before = len(stage.proxy.calls)
            await stage.until(
                lambda case=case: stage.position(case.id) is not None,  # type: ignore[misc]
                "被改动的消息已交付",
                "what was altered is handed out",
            )
            await asyncio.sleep(WATCHED)
            told = stage.proxy.calls[before:]
            stage.expect(
                stage.signed_through(told, tried=True) < (stage.position(case.id) or 0),
                "被改动的消息没有签收",
                "what was altered is not signed for",
            )
            _unanswered(stage, case, "被改动的消息没有答复", "what was altered is not answered")
        await stage.answered(case, within=stage.patience * 2)
        stage.once(case)


def _items(change: Callable[[dict[str, Any]], None]) -> Callable[[Any], Any]:
    """A change to each message on a page of the mailbox."""

    def changed(page: Any) -> Any:
        for item in page.get("items", []) if isinstance(page, dict) else []:
            if item.get("message"):
                change(item)
        return page

    return changed


def _flipped(text: str, at: int) -> str:
    return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]


def _message_of(item: dict[str, Any]) -> None:
    head, payload, signature = item["message"].split(".")
    item["message"] = f"{head}.{payload}.{_flipped(signature, 20)}"


def _receipt_of(item: dict[str, Any]) -> None:
    item["receipt"]["accepted"] = "2020-01-01T00:00:00.000000Z"


def _proof_of(item: dict[str, Any]) -> None:
    proof = item["receipt"]["log"]["proof"]
    item["receipt"]["log"]["proof"] = [_flipped(proof[0], 3), *proof[1:]] if proof else ["A" * 43 + "="]


def _note_of(item: dict[str, Any]) -> None:
    note = item["receipt"]["log"]["checkpoint"].rstrip("\n")
    item["receipt"]["log"]["checkpoint"] = _flipped(note, len(note) - 20) + "\n"


ALTERATIONS = (_message_of, _receipt_of, _proof_of, _note_of)
"""What can be altered of a message on its way: its signature, its receipt, the proof and the checkpoint in it."""

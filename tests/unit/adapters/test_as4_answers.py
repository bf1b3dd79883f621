"""What is answered to a push: only a receipt for these very bytes ends it; the rest is tried again, or not."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.as4 import envelope, messaging, mime, packing, receipts
from adapters.as4.access_point import AccessPoint
from adapters.as4.errors import EbmsError, FailedAuthentication, ModeMismatch
from adapters.as4.ledger import Ledger
from adapters.as4.mime import Package
from adapters.as4.packing import Opened
from adapters.running.partner import Offer, Outcome, PartnerRejected, PartnerUnreachable
from tests.acceptance.as4.parties import identity
from tests.unit.adapters.test_as4_agreement import made

FAR = identity("far", "here")
OFFER, OUTCOME = Offer(key="theirs@far"), Outcome(problem="the hub does not take it")
Answer = Callable[[Opened], web.Response]


class Delivered(EbmsError):
    """The partner's own delivery failed."""

    number, name = "EBMS:0202", "DeliveryFailure"


@contextlib.asynccontextmanager
async def pushing(folder: Path, answer: Answer) -> AsyncIterator[tuple[AccessPoint, Ledger, list[Opened]]]:
    """An access point with a partner that answers like this."""
    got: list[Opened] = []

    async def msh(request: web.Request) -> web.Response:
        body = await request.read()
        got.append(await packing.opened(FAR, request.headers["Content-Type"], body, datetime.now(UTC)))
        return answer(got[-1])

    app = web.Application()
    app.router.add_post("/msh", msh)
    server = TestServer(app)
    await server.start_server()
    found = made(folder, partner={"url": str(server.make_url("/msh")), "allow_http": True, "party": "far"},
                 party="here", attempts=2, receipt_within=0.5)  # fmt: skip
    ledger = Ledger(folder)
    async with AccessPoint(found, ledger, lambda offer: True) as point:
        yield point, ledger, got
        await server.close()


def signal(header: Any, who: packing.Identity = FAR) -> web.Response:
    """A signal as the partner signs it."""
    sealed = packing.sealed(who, header)
    return web.Response(body=sealed.body, headers={"Content-Type": sealed.content_type})


def receipt(opened: Opened, ref: str | None = None, fewer: int = 0, who: packing.Identity = FAR) -> web.Response:
    """A receipt, perhaps for another message, for less of it, or by somebody else."""
    references = opened.references[: len(opened.references) - fewer]
    held = receipts.evidence(references)
    return signal(messaging.receipt_signal("far", ref or opened.unit.id, datetime.now(UTC), held), who)


def error(fault: EbmsError) -> Answer:
    """An error about the message."""
    return lambda opened: signal(messaging.error_signal("far", datetime.now(UTC), fault.about(opened.unit.id)))


def unsigned(opened: Opened) -> web.Response:
    """An error that nobody signed."""
    header = messaging.error_signal("far", datetime.now(UTC), FailedAuthentication().about(opened.unit.id))
    kind, body = mime.packed(Package(envelope.written(envelope.built(header)), {}))
    return web.Response(status=400, body=body, headers={"Content-Type": kind})


async def test_a_receipt_ends_it_and_it_is_not_sent_again(tmp_path: Path) -> None:
    async with pushing(tmp_path, receipt) as (point, ledger, got):
        await point.settle(OFFER, OUTCOME)
        await point.settle(OFFER, OUTCOME)
        (one,) = got
        kept = ledger.sent(one.unit.id)
        assert kept is not None and kept.state == "receipted" and b"NonRepudiationInformation" in (kept.receipt or b"")
        assert one.payloads[0].held == b'{"problem":"the hub does not take it"}'
        await point.settle(OFFER, Outcome(problem="another"))
        assert len(got) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda opened: receipt(opened, ref="other@here"), "EBMS:0302|another message"),
        (lambda opened: receipt(opened, fewer=1), "EBMS:0302"),
        (lambda opened: receipt(opened, who=identity("stranger", "here")), "EBMS:0101"),
        (unsigned, "unsigned: EBMS:0101"),
        (lambda opened: web.Response(body=b"x" * (2 << 20), content_type="application/soap+xml"), "did not come"),
        (lambda opened: web.Response(body=b"<html/>", content_type="text/html"), "did not come"),
        (lambda opened: web.Response(body=b"<html/>", content_type="application/soap+xml"), "EBMS:0009"),
        (lambda opened: web.Response(), "did not come"),
    ],
)  # fmt: skip
async def test_anything_else_is_tried_again_with_the_same_bytes_and_given_up_at_last(
    tmp_path: Path, answer: Answer, why: str
) -> None:
    async with pushing(tmp_path, answer) as (point, ledger, got):
        with pytest.raises(PartnerUnreachable, match=why):
            await point.settle(OFFER, OUTCOME)
        with pytest.raises(PartnerRejected, match="EBMS:0301"):
            await point.settle(OFFER, OUTCOME)
        assert [one.unit for one in got] == [got[0].unit] * 2
        kept = ledger.sent(got[0].unit.id)
        assert kept is not None and kept.state == "failed"


async def test_a_partner_that_says_it_did_not_take_it_may_be_asked_for_ever(tmp_path: Path) -> None:
    answers = [web.Response(status=503, headers={"Retry-After": "7"}), web.Response(status=404, text="no such path")]
    async with pushing(tmp_path, lambda _: answers.pop(0)) as (point, ledger, got):
        for after in (7, None):
            with pytest.raises(PartnerUnreachable) as found:
                await point.settle(OFFER, OUTCOME)
            assert found.value.data["after"] == after
        kept = ledger.sent(got[0].unit.id)
        assert kept is not None and (kept.state, kept.attempts) == ("waiting", 0)


async def test_errors_that_the_partner_signed_decide_unless_they_pass(tmp_path: Path) -> None:
    async with pushing(tmp_path, error(Delivered())) as (point, _, got):
        for _n in range(3):
            with pytest.raises(PartnerUnreachable, match="EBMS:0202"):
                await point.settle(OFFER, OUTCOME)
        assert len(got) == 3
    (tmp_path / "more").mkdir()
    async with pushing(tmp_path / "more", error(ModeMismatch())) as (point, ledger, got):
        with pytest.raises(PartnerRejected, match="EBMS:0010"):
            await point.settle(OFFER, OUTCOME)
        kept = ledger.sent(got[0].unit.id)
        assert kept is not None and kept.state == "failed"


async def test_one_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    found = made(tmp_path, partner={"url": "http://127.0.0.1:9/msh", "allow_http": True}, attempts=1)
    async with AccessPoint(found, Ledger(tmp_path), lambda offer: True) as point:
        for _ in range(3):
            with pytest.raises(PartnerUnreachable, match="can't be reached"):
                await point.settle(OFFER, OUTCOME)

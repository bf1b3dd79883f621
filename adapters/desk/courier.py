"""Between the desk and the hub: it receives and sends while the desk's store is open, whatever happens meanwhile."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from adapters.client import Client, Refused
from adapters.client.answers import convert
from adapters.desk.bureau import Bureau, Contact
from adapters.desk.receiving import Receiving
from adapters.desk.saying import said, unadmitted
from adapters.desk.sending import Sending
from adapters.desk.views import CaseSummary
from keys.errors import BadSeal, Fault
from protocols import deadlines
from protocols.attachments import Manifest
from protocols.scorecard import DAYS, Asked

logger = structlog.get_logger()
AGAIN: Final = 3.0
"""Seconds until a hub that was away is tried again."""
SEASON: Final = 600.0
"""Seconds between two looks at how long others take."""
YEAR: Final = timedelta(days=365)


class Courier:
    """What goes between one bureau's desk and its hub."""

    def __init__(self, bureau: Bureau, hub: str) -> None:
        self._bureau = bureau
        self._receiving = Receiving(bureau, hub)
        self._sending = Sending(bureau, self._receiving)

    async def run(self) -> None:
        """Receive and send until cancelled; what stops it is said on every page, and it begins anew."""
        while True:
            try:
                async with self._bureau.connect() as client:
                    await self._look_round(client)
                    self._bureau.reach(Contact("reached"))
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._receiving.run(client))
                        tasks.create_task(self._sending.run(client))
                        tasks.create_task(self._fetch(client))
                        tasks.create_task(self._learn_habits(client))
            except Exception as error:
                first = _first(error)
                if not isinstance(first, Fault | OSError | TimeoutError):
                    logger.exception("desk-courier-failed")
                self._bureau.reach(Contact("unadmitted" if unadmitted(first) else "away", said(first)))
            await asyncio.sleep(AGAIN)

    async def _look_round(self, client: Client) -> None:
        """Who there is, how long they take, and cases that changed while nobody looked."""
        self._bureau.directory(await client.organisations())
        with contextlib.suppress(Refused):
            listed = await client.look_up(self._bureau.organisation)
            self._bureau.vault.put("state", "listed", [key.get("kid") for key in listed["jwks"]["keys"]])
        async for one in client.cases():
            summary = convert(one, CaseSummary)
            known = self._bureau.case(summary.id)
            if known is None or known["updated"] != summary.updated:
                await self._receiving.refresh(client, summary.id)
        await self._receiving.look_again(client)

    async def _fetch(self, client: Client) -> None:
        """Have the files of all messages here: they can be read then while the hub is away."""
        wanted = self._bureau.filed()
        while True:
            wanted = [file for file in wanted if not await self._fetched(client, file)]
            wanted.append(await self._bureau.came.get())

    async def _fetched(self, client: Client, file: Manifest) -> bool:
        """Whether it is here now; one that could not be had is tried again with the next that comes."""
        try:
            return await self._bureau.drafts.enclosures.fetch(client, file)
        except (Refused, BadSeal, OSError) as error:
            logger.warning("desk-file-not-fetched", attachment=file.attachment, error=type(error).__name__)
            return False

    async def _learn_habits(self, client: Client) -> None:
        """How long each authority takes to answer us, over a year; again now and then."""
        while True:
            with contextlib.suppress(Refused):
                await self._usual(client)
            await asyncio.sleep(SEASON)

    async def _usual(self, client: Client) -> None:
        today = deadlines.local_date(datetime.now(UTC))
        figures = await client.figures(Asked(today - YEAR, today, opener=self._bureau.organisation), "responder")
        days = {row.responder: row.figure.indicators[DAYS].value for row in figures.rows}
        usual = {name: value for name, value in days.items() if name and value is not None}
        self._bureau.vault.put("state", "usual", usual)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

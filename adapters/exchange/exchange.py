"""The partner behind the folders: what is in them goes up, what is in the mailbox goes into them."""

import asyncio
import contextlib
from types import TracebackType

from adapters.exchange import words
from adapters.exchange.books import Books
from adapters.exchange.folder import FOLDERS, IN, ROOT, TEMPLATES, TEMPORARY, FileTrouble, Folder
from adapters.exchange.incoming import Incoming
from adapters.exchange.ledger import Ledger
from adapters.exchange.local import Local
from adapters.exchange.outgoing import Outgoing
from adapters.exchange.pen import Pen
from adapters.exchange.settings import Settings, keys_of
from adapters.exchange.settling import Settling
from adapters.exchange.troubles import Troubles
from adapters.running.configuration import AdapterConfigInvalid, Section
from adapters.running.partner import Collected, Delivery, Offer, Outcome, Own, Partner
from adapters.running.store import Store
from keys.errors import Fault

README = "README.txt"


class Exchange(Partner):
    """A partner with nothing but files."""

    def __init__(self, section: Section, settings: Settings) -> None:
        """Raises AdapterConfigInvalid."""
        self._section, self._settings = section, settings
        self._folder = _folder(settings)
        self._store, self._ledger = Store(section.common.store), Ledger(section.common.store)
        self._troubles = Troubles(self._store)
        self._alone, self._prepared = asyncio.Lock(), False

    def meet(self, own: Own) -> None:
        organisations = self._section.common.organisations
        self._own, first, known = own, organisations[0], self._section.common.catalogue()
        once = self._settings.doubles == "refuse"
        self._books = Books(first, own.clients[first], known, self._ledger, once)
        self._pen = Pen(self._folder, own.signing, first, self._hub)
        self._incoming = Incoming(self._settings, organisations, self._folder, self._ledger, self._troubles,
                                  keys_of(self._settings))  # fmt: skip
        self._settling = Settling(self._folder, self._pen, self._ledger, self._store, self._troubles)
        daily = self._settings.daily_workbook
        self._outgoing = Outgoing(self._pen, self._ledger, self._troubles, known, daily, len(organisations) > 1)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._folder.close()
        self._ledger.close()
        self._store.close()

    async def deliver(self, delivery: Delivery) -> None:
        await self._ready()
        await self._outgoing.hand(delivery)

    async def collect(self, cursor: str | None) -> Collected:
        await self._ready()
        self._incoming.confirm(self._store)
        await self._settling.tidy()
        await self._write_papers()
        offers, more = await self._incoming.look(self._books)
        return Collected(offers, None, more)

    async def settle(self, offer: Offer, outcome: Outcome) -> None:
        await self._ready()
        await self._settling.settle(offer, outcome, self._books)

    async def _write_papers(self) -> None:
        """Templates and daily workbooks; nothing waits for them."""
        if self._settings.templates:
            try:
                await self._books.write_templates(self._pen)
                self._troubles.over(TEMPLATES, "all")
            except Fault as fault:
                self._troubles.note(TEMPLATES, "all", fault.detail)
        await self._outgoing.write_days()

    async def _ready(self) -> None:
        """Make the folders, once; what was being written when the last process died goes."""
        async with self._alone:
            if self._prepared:
                return
            await self._folder.prepare()
            for folder in FOLDERS:
                for entry in await self._folder.list(folder):
                    if folder != IN and entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                        with contextlib.suppress(FileTrouble):
                            await self._folder.remove(folder, entry.name)
            if README not in {entry.name for entry in await self._folder.list(ROOT)}:
                await self._folder.write(ROOT, README, words.README.encode())
            self._prepared = True

    async def _hub(self) -> str:
        known = self._ledger.noted("hub")
        if known is None:
            async with next(iter(self._own.clients.values()))() as client:
                known = client.hub
            self._ledger.note("hub", known)
        return str(known)


def _folder(settings: Settings) -> Folder:
    if settings.root is not None:
        return Local(settings.root, settings.permissions)
    assert settings.sftp is not None
    try:
        from adapters.exchange.sftp import Sftp
    except ImportError:
        raise AdapterConfigInvalid("SFTP needs the extra: pip install 'xieban[exchange]'", check="extra") from None
    return Sftp(settings.sftp, settings.permissions)

"""From what an organisation wants to say to signed bytes: version, recipients, sealing, envelope."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.client import messages
from adapters.client.answers import CaseHead
from adapters.client.cases import Cases
from adapters.client.directory import Directory
from adapters.client.faults import Refused
from adapters.client.notary import Notary
from protocols import envelope, sealing
from protocols.departments import is_hub
from protocols.loading import BASE, Catalogue
from protocols.refusals import TypeUnknown


@dataclass(frozen=True, slots=True)
class Composer:
    """One organisation's pen."""

    organisation: str
    catalogue: Catalogue
    notary: Notary
    directory: Directory
    cases: Cases

    async def attributes(
        self,
        type: str,
        case: str,
        recipients: Sequence[str],
        data: dict[str, Any],
        content: Any,
        causationid: str | None,
        expirytime: datetime | None,
        check: bool,
        id: str | None = None,
    ) -> dict[str, Any]:
        """The message's attributes, sealed and not signed yet; see `Client.prepare`."""
        dataschema, home = await self._place(type, case)
        if check and content is not None:
            messages.check_content(self.catalogue, type, dataschema, content)
        id = id or envelope.new_id()
        if content is not None:
            protocol, message = self.catalogue.message(type, dataschema)
            readers = protocol.readers_of(message.name, self.organisation, recipients, data)
            keys = await self.directory.openers(readers)
            data = data | sealing.seal(
                self.organisation, id, case, content, keys, padding=message.declared.padding * sealing.BLOCK
            )
        return envelope.compose(
            id=id,
            source=self.organisation,
            type=type,
            dataschema=dataschema,
            subject=case,
            recipients=recipients,
            hub=home,
            time=datetime.now(UTC),
            data=data,
            causationid=causationid,
            expirytime=expirytime,
        )

    async def _place(self, type: str, case: str) -> tuple[str, str]:
        """The message's schema, and the hub that is the case's home.

        The latest version of the catalogue at hand for opening, at one's own hub; the case's own for all that follows.
        """
        protocol, _, message = type.partition(".")
        latest = self.catalogue.latest(protocol)
        if latest is None:
            raise TypeUnknown(
                f"no protocol {protocol[:80]!r} is known here: name yours by XIEBAN_PROTOCOLS or Client(catalogue=…)"
            )
        version, home = latest.version, self.notary.hub
        if message not in latest.flow.opening:
            try:
                version = await self.cases.version(case)
                home = await self.cases.home(case) or home
            except Refused as refusal:
                # The hub says best what is wrong with a message in a case that it does not know or show.
                if refusal.reason not in ("not-found", "forbidden"):
                    raise
        return f"{BASE}/{protocol}/{version}/{message}", home

    def everybody(self, head: CaseHead, message: str, data: dict[str, Any]) -> list[str]:
        """All other parties of a case that have a mailbox, which a hub has not, and whom the message brings in."""
        named = head.parties()
        protocol = self.catalogue.protocol(head.protocol, head.version)
        for move in protocol.flow.moves if protocol else ():
            newcomer = data.get(move.assigns.source) if move.assigns and move.message == message else None
            if isinstance(newcomer, str):
                named.append(newcomer)
        return [name for name in dict.fromkeys(named) if name != self.organisation and not is_hub(name)]

"""What the log says of an organisation: its keys, who may sign for it, who came into its place."""

from dataclasses import dataclass, field
from urllib.parse import quote

from adapters.client import answers
from adapters.client.connection import Call, Connection
from adapters.client.notary import Notary
from protocols.receipt import Proven


@dataclass(frozen=True, slots=True)
class Words:
    """The log's words on organisations, each proven to be in the log; kept until `forget`."""

    connection: Connection
    notary: Notary
    _known: dict[str, list[Proven]] = field(default_factory=dict, repr=False)

    async def on(self, organisation: str) -> list[Proven]:
        """Those on `organisation`, as known; asked for where they are not."""
        if organisation not in self._known:
            self._known[organisation] = await self.ask(organisation)
        return self._known[organisation]

    def forget(self, organisation: str) -> None:
        """Ask again the next time."""
        self._known.pop(organisation, None)

    async def ask(self, organisation: str) -> list[Proven]:
        """Those on `organisation` as of now. Raises Refused, ReceiptInvalid, DeliveryInvalid."""
        path = f"/v1/organisations/{quote(organisation, safe='')}/keys"
        found = answers.read(await self.connection.call(Call("GET", path)), answers.Events)
        proven = [await self.notary.event(event) for event in found.events]
        return [one for one in proven if getattr(one.entry, "organisation", None) == organisation]

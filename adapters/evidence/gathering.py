"""Gathering evidence: everything that a party can get of a case, each piece verified as it comes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.client import Client, DeliveryInvalid, Refused
from adapters.evidence import summary
from adapters.evidence.checking import check
from adapters.evidence.file import Evidence, Piece
from keys import jwe
from keys.errors import BadSeal
from keys.jwk import DecryptionKey
from protocols import envelope
from protocols.envelope import Event
from protocols.loading import Catalogue, catalogue
from protocols.receipt import Proven


async def gather(
    client: Client, case: str, opening: Sequence[DecryptionKey] = (), known: Catalogue | None = None
) -> Evidence:
    """The evidence of a case as this party can give it; with `opening` keys, what they open is in it in the clear.

    Raises what the client raises: a piece that does not verify is no evidence, and is not passed over.
    """
    view = await client.case(case)
    if view.get("home") is not None:
        raise DeliveryInvalid(f"the evidence of this case is gathered at its home, {view['home']}", case=case)
    pieces, withheld, sources = [], [], dict[str, None]()
    for step in view["timeline"]:
        try:
            item = await client.message(step["source"], step["id"])
            events = await client.events(step["source"], step["id"])
        except Refused as refusal:
            if refusal.reason not in ("forbidden", "gone"):
                raise
            withheld.append(
                {"source": step["source"], "id": step["id"], "type": step["type"], "entry": step["log_index"]}
            )
            continue
        # Who received it counts too: another may stand in its place by now.
        sources.update(dict.fromkeys((item.event.source, *item.event.recipients)))
        if item.gateway is not None:
            sources[item.gateway] = None
        document = msgspec.to_builtins(item.receipt)
        pieces.append(Piece(item.compact, document, _logged(events), _plaintext(item.event, opening)))
    keys = {name: _logged(await client.key_events(name)) for name in sources if name != client.hub}
    evidence = Evidence(
        hub=client.hub,
        origin=client.log_origin,
        case=case,
        made=envelope.rfc3339(datetime.now(UTC)),
        by=client.organisation,
        hub_keys=[key.jwk for key in client.hub_keys],
        pieces=pieces,
        keys=keys,
        withheld=withheld,
        earlier=[msgspec.to_builtins(one) for one in client.log_earlier],
        deadlines=_logged(await client.arrangements(case)),
    )
    report = check(evidence, client.hub_keys, known or catalogue())
    return replace(evidence, summary=summary.page(evidence, report))


def _logged(proven: Sequence[Proven]) -> list[dict[str, Any]]:
    return [{"log": msgspec.to_builtins(one.log)} for one in proven]


def _plaintext(event: Event, keys: Sequence[DecryptionKey]) -> bytes | None:
    sealed = event.data.get("sealed")
    for key in keys if isinstance(sealed, dict) else ():
        try:
            return jwe.unseal(sealed, key)
        except BadSeal:
            continue
    return None

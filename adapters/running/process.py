"""An adapter's process: its keys opened, its station at work, its health and its partner's calls where it listens."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from aiohttp import web

from adapters.client import Client, Patience
from adapters.client.certificate import of_environment
from adapters.running import health, kinds
from adapters.running.alone import alone
from adapters.running.configuration import AdapterConfigInvalid, Section, address
from adapters.running.hanging_up import hanging_up
from adapters.running.partner import Own, Partner
from adapters.running.station import Station
from adapters.running.store import Store
from keys.errors import Fault
from keys.jwk import DecryptionKey, VerifyingKey, parse_jwks
from keys.keystore import KeyStore

PATIENCE = Patience(within=5)
LARGEST = 64 << 20


async def run(section: Section, passphrase: str, ready: Callable[[str], None]) -> None:
    """Run an adapter until SIGTERM or SIGINT.

    Raises KeyStoreFault, AdapterConfigInvalid, AdapterUnknown; AdapterRunning where another process has its store.
    """
    with alone(section.common.store):
        await _run(section, passphrase, ready)


async def _run(section: Section, passphrase: str, ready: Callable[[str], None]) -> None:
    store = Store(section.common.store)
    try:
        offered: list[Station] = []
        partner = kinds.partner(section, lambda offer: offered[0].offer(offer))
        own = this_side(section, passphrase)
        partner.meet(own)
        station = Station(store, partner, own.clients, section.common.every)
        offered.append(station)
        ends = [*partner.ends(), *([own.signing.public.expires] if own.signing.public.expires else [])]
        async with _listening(section, store, partner, ends) as address:
            working = asyncio.create_task(station.run())
            ready(address)
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
    finally:
        store.close()


def this_side(section: Section, passphrase: str, patience: Patience = PATIENCE) -> Own:
    """The key that signs, and a maker of clients for each organisation that the adapter speaks for."""
    common = section.common
    own = KeyStore(common.keys)
    signing = own.signing_key(passphrase, datetime.now(UTC))
    kind = kinds.KINDS.get(section.kind)
    opens = common.opens if common.opens is not None else kind is None or kind.opens
    stores = (own, *(KeyStore(folder) for folder in common.sealed_keys)) if opens else ()
    openers: list[DecryptionKey] = [key for one in stores for key in one.decryption_keys(passphrase)]
    believed, tls, known = trusted(common.hub_keys), of_environment(), common.catalogue()

    def connect(organisation: str) -> Client:
        return Client(common.hub, organisation, signing, openers, hub_keys=believed, patience=patience, catalogue=known,
                      tls=tls)  # fmt: skip

    return Own({one: partial(connect, one) for one in common.organisations}, signing)


def trusted(file: Path | None) -> list[VerifyingKey] | None:
    """The hub's keys that were handed over, if any. Raises AdapterConfigInvalid."""
    if file is None:
        return None
    try:
        return [key for key in parse_jwks(json.loads(file.read_bytes())) if isinstance(key, VerifyingKey)]
    except (OSError, ValueError, Fault) as error:
        raise AdapterConfigInvalid(f"hub_keys {file}: {error}") from None


@contextlib.asynccontextmanager
async def _listening(section: Section, store: Store, partner: Partner, ends: Sequence[datetime]) -> AsyncIterator[str]:
    """Health, metrics and what the partner calls, where the section says so; the address, empty without one."""
    if section.common.listen is None:
        yield ""
        return

    async def well(_: web.Request) -> web.Response:
        seen = health.look(section.name, section.kind, store)
        return web.json_response({"running": seen.running, "well": seen.well}, status=200 if seen.running else 503)

    async def metrics(_: web.Request) -> web.Response:
        seen = health.look(section.name, section.kind, store)
        return web.Response(body=health.metrics(seen, ends), content_type="text/plain")

    app = web.Application(middlewares=[hanging_up], client_max_size=LARGEST)
    app.router.add_get("/healthz", well)
    app.router.add_get("/metrics", metrics)
    app.add_routes(partner.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address(section.common.listen)).start()
    except OSError as error:
        await runner.cleanup()
        said = f"[adapters.{section.name}] listen = {section.common.listen!r}: {error.strerror}"
        raise AdapterConfigInvalid(said, check="listen") from None
    try:
        yield f"http://{section.common.listen}"
    finally:
        await runner.cleanup()

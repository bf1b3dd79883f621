"""A partner at the command line: its keys unlocked, its client open."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hub.commands.known import known
from hub.commands.options import DIRECTORY
from hub.commands.prompting import secret
from keys.keystore import KeyStore, read_passphrase

if TYPE_CHECKING:
    from adapters.client import Client


@dataclass(frozen=True, slots=True)
class Partner:
    """Who speaks to which hub, and where its keys are."""

    hub: str
    organisation: str
    keys: Path
    passphrase_file: Path | None
    patience: float


@contextlib.asynccontextmanager
async def connected(partner: Partner, *, opening: bool = False) -> AsyncIterator["Client"]:
    """The partner's client; with `opening` it can open what was sealed. Raises KeyStoreFault, Undecided and others."""
    from adapters.client import Client, Patience, Pinned

    store, passphrase = KeyStore(partner.keys), passphrase_of(partner.passphrase_file)
    signing = store.signing_key(passphrase, datetime.now(UTC))
    sealed_with = store.decryption_keys(passphrase) if opening else []
    patience = Patience(within=partner.patience)
    named = os.environ.get(DIRECTORY)
    pinned = Pinned(Path(named)) if named else None
    async with Client(
        partner.hub,
        partner.organisation,
        signing,
        sealed_with,
        patience=patience,
        catalogue=known(),
        pinned=pinned,
    ) as client:
        yield client


def passphrase_of(file: Path | None, *, new: bool = False) -> str:
    """The passphrase of a key store, asked for where there is a person to ask. Raises KeyStoreFault."""
    ask = partial(secret, "口令 · passphrase", new=new)
    return read_passphrase(file, ask if sys.stdin.isatty() else None)

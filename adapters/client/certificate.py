"""The certificate that a hub's door asks for (mutual TLS, RFC 8446 §4.3.2), where whoever runs the program has one."""

import os
import ssl
from pathlib import Path
from typing import Final

from adapters.client.faults import CertificateUnusable

CERTIFICATE: Final = "XIEBAN_CERTIFICATE"
"""The variable that names a PEM file with the chain and its key."""


def certified(context: ssl.SSLContext, file: str | Path, said: str = "") -> ssl.SSLContext:
    """The context with a PEM file's chain and key to show. Raises CertificateUnusable, which begins as `said`."""
    try:
        context.load_cert_chain(file, password=lambda: b"")  # an encrypted key is refused, not asked about
    except (OSError, ssl.SSLError) as error:
        raise CertificateUnusable(f"{said}{file} holds no certificate with its key in PEM: {error}") from None
    return context


def of_environment() -> ssl.SSLContext | None:
    """Trusts the system's authorities (or those of SSL_CERT_FILE) and shows XIEBAN_CERTIFICATE, where that is set.

    Raises CertificateUnusable.
    """
    named = os.environ.get(CERTIFICATE)
    return certified(ssl.create_default_context(), named, f"{CERTIFICATE}: ") if named else None

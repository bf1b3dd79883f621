"""`xieban doctor` on adapters: sections, keys, addresses, clocks and certificates, each broken for real."""

import contextlib
import http.server
import ipaddress
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from keys import jwk
from keys.keystore import KeyStore
from tests.acceptance.as4 import parties
from tests.acceptance.examined import configured, found

PASSPHRASE = "correct horse"


@contextlib.contextmanager
def answering(late: timedelta = timedelta(0), keys: parties.Keys | None = None) -> Iterator[str]:
    """A server whose clock is off, with a certificate of these keys; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) - late, usegmt=True)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if keys is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.NamedTemporaryFile("w"))
            file.write(keys.key_pem + keys.pem)
            file.flush()
            context.load_cert_chain(file.name)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if keys else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def adapter(folder: Path, hub: str, more: str = "") -> Path:
    """The section of a file exchange that is well."""
    store = KeyStore(folder / "weidu")
    if not store.directory.exists():
        store.create()
        store.add(jwk.generate_signing(), PASSPHRASE)
        (folder / "passphrase").write_text(PASSPHRASE)
        (folder / "passphrase").chmod(0o600)
        (folder / "files").mkdir()
    return configured(
        folder,
        f'[adapters.exchange]\nhub = "{hub}"\norganisation = "411002-health"\nkeys = "weidu"\n'
        f'passphrase_file = "passphrase"\nstore = "store"\nroot = "files"\n{more}',
    )


def test_an_adapter_whose_section_or_keys_can_not_be_used(tmp_path: Path) -> None:
    with answering() as address:
        file = adapter(tmp_path, address)
        assert found("--config", file) == {}
        for wrong in ("every = 0", "speed = 1"):
            assert "adapter-config-invalid" in found("--config", adapter(tmp_path, address, wrong)), wrong
        file = adapter(tmp_path, address)
        (tmp_path / "passphrase").chmod(0o644)
        assert "passphrase-unreadable" in found("--config", file)
        (tmp_path / "passphrase").chmod(0o600)
        (tmp_path / "passphrase").write_text("another one altogether")
        assert "passphrase_file" in found("--config", file)["keystore-fault"]
        unknown = configured(tmp_path, file.read_text().replace("exchange]", "none]"))
        assert "adapter-unknown" in found("--config", unknown)


def test_addresses_that_are_away_or_whose_clock_is_off(tmp_path: Path) -> None:
    with answering(late=timedelta(minutes=3)) as address:
        assert set(found("--config", adapter(tmp_path, address))) == {"clock-off"}
        assert found("--config", tmp_path / "config.toml", "--offline") == {}
    assert set(found("--config", adapter(tmp_path, address))) == {"address-away"}


def test_certificates_that_nobody_trusts_or_that_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _for_address(parties.keys("doctor", days=5))
    with answering(keys=keys) as address:
        file = adapter(tmp_path, address)
        assert "openssl" in found("--config", file)["certificate-invalid"]
        (tmp_path / "authority.pem").write_text(keys.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert set(found("--config", file)) == {"certificate-ending"}
    ended, near = parties.keys("ended", "ec", days=-1), parties.keys("near", "ec", days=5)
    (tmp_path / "ours.key").write_text(near.key_pem)
    (tmp_path / "ours.key").chmod(0o644)
    (tmp_path / "ours.pem").write_text(near.pem)
    with answering() as address:
        file = adapter(
            tmp_path, address,
            f'kind = "as4"\nlisten = "127.0.0.1:9"\ncertificate = "ours.pem"\nkey = "ours.key"'
            f'\n[adapters.exchange.partner]\nparty = "them"\ncertificate = """{ended.pem}"""\n',
        )  # fmt: skip
        text = file.read_text().replace('root = "files"\n', "")
        codes = found("--config", configured(tmp_path, text))
    assert set(codes) == {"certificate-ended", "certificate-ending", "key-open"}
    subprocess.run(["bash", "-c", codes["key-open"]], check=True)
    assert (tmp_path / "ours.key").stat().st_mode & 0o777 == 0o600


def _for_address(keys: parties.Keys) -> parties.Keys:
    """The same keys with a certificate for this machine's own address."""

    held = keys.certificate
    made = x509.CertificateBuilder(
        held.issuer, held.subject, held.public_key(), held.serial_number, held.not_valid_before_utc,
        held.not_valid_after_utc,
        [x509.Extension(x509.SubjectAlternativeName.oid, False,
                        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]))],
    )  # fmt: skip
    return parties.Keys(keys.key, made.sign(keys.key, hashes.SHA256()))

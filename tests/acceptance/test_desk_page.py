"""What docs/desk.md says is run: its commands as they stand there, for one person and for several."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keys import jwk
from tests.acceptance.bureaus import Bureau
from tests.acceptance.desks import HERE, Desk, fingerprints
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import RunningHub

PAGE = (ROOT / "docs" / "desk.md").read_text("utf-8")
NAME = "desk.weidu.example"


def commands(beginning: str) -> list[str]:
    """The page's commands that begin like this."""
    return [line for block in blocks(PAGE, "sh") for line in block.splitlines() if line.startswith(beginning)]


def certificate() -> bytes:
    """A certificate for NAME with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)]), datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now,
                                   now + timedelta(days=1)).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(NAME)]), False).sign(key, hashes.SHA256())  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + private


def test_the_operators_part_is_as_the_page_says(hub: RunningHub, tmp_path: Path) -> None:
    bureau = Bureau(HERE, signing=jwk.generate_signing())
    (tmp_path / f"{HERE}.json").write_text(json.dumps([bureau.record()]))
    (tmp_path / "hub-data").symlink_to(hub.data)
    told = [in_shell(command, tmp_path, hub, COLUMNS="200") for command in commands("xieban keys")]
    assert len(told) == 1 and all(kid in told[0] for kid in fingerprints(hub).split())
    assert [in_shell(command, tmp_path, hub) for command in commands("xieban organisations")] != []


async def test_a_desk_starts_as_the_page_says_and_answers_to_its_own_name_alone(
    hub: RunningHub, tmp_path: Path
) -> None:
    (tmp_path / "desk.pem").write_bytes(certificate())
    alone, shared = commands("xieban desk")
    assert alone.split()[2:] == ["--store", "desk"]
    options = shared.split()[4:]
    desk = Desk(hub, tmp_path, HERE, [one.replace("desk.pem", str(tmp_path / "desk.pem")) for one in options]).start()
    trusted = ssl.create_default_context(cadata=(tmp_path / "desk.pem").read_text().split("-----BEGIN PRIVATE")[0])
    try:
        assert "https://0.0.0.0" in desk.log and "in the clear" not in desk.log
        async with aiohttp.ClientSession() as session:
            for host, status in ((NAME, 200), ("evil.example", 403)):
                url, headers = f"https://127.0.0.1:{desk.port}/enter", {"Host": f"{host}:{desk.port}"}
                async with session.get(url, headers=headers, ssl=trusted, server_hostname=NAME) as answer:
                    assert answer.status == status
    finally:
        desk.stop()


def test_pictures_and_links_of_the_page_are_there() -> None:
    linked = [part.split(")")[0] for part in PAGE.split("](")[1:]]
    assert len(linked) >= 5 and all((ROOT / "docs" / name).exists() for name in linked)

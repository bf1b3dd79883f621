"""`deploy/nginx` and `deploy/caddy`, run before a real hub: mutual TLS, headers, large attachments, what waits."""

import asyncio
import contextlib
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from adapters.client import attachments
from hub.commands import app
from hub.commands.explaining import line
from hub.store import embedded
from keys.keystore import KeyStore
from tests.acceptance.bureaus import Bureau, content, enrolled, example
from tests.acceptance.desks import PASSWORD, Desk, Person
from tests.acceptance.exchanging import asked, configured, put
from tests.acceptance.pages import ROOT
from tests.acceptance.stations import until
from tests.conftest import XIEBAN, RunningHub, free_port, running_hub

NAME = "hub.example"
CALLER = "127.0.0.2"
"""Where a browser is, other than the proxy itself."""
LARGE = 12 << 20
HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
SUPERVISOR = Bureau("440300-supervision", roles=("supervisor",))


@dataclass(frozen=True)
class Front:
    """A proxy that runs, and what it takes to reach it."""

    port: int
    tls: Path

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def context(self, certified: bool = True) -> ssl.SSLContext:
        """Trusts its authority, and shows a partner's certificate if that is wanted."""
        context = ssl.create_default_context(cafile=str(self.tls / "ca.pem"))
        if certified:
            context.load_cert_chain(self.tls / "partner.pem")
        return context

    def status(self, path: str, certified: bool = True, method: str = "GET", body: bytes | None = None) -> int:
        """The status of a call; by name, though no name service knows it."""
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        try:
            with named(), urllib.request.urlopen(request, context=self.context(certified), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@contextlib.contextmanager
def named() -> Iterator[None]:
    """While it lasts the proxy's name leads to this machine."""
    known = socket.getaddrinfo

    def look_up(host: object, *arguments: object, **options: object) -> object:
        return known("127.0.0.1" if host == NAME else host, *arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


def certificates(folder: Path) -> None:
    """An authority, the hub's certificate, a partner's, and one that nobody's authority made."""
    authority = issued(folder / "ca.pem", "authority", None)
    for name, by in (("hub", authority), ("partner", authority), ("stranger", None)):
        issued(folder / f"{name}.pem", NAME if name == "hub" else name, by)
    shutil.copy(folder / "hub.pem", folder / "hub.key")
    shutil.copy(folder / "ca.pem", folder / "partners.pem")


Issuer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issued(file: Path, name: str, by: Issuer | None) -> Issuer:
    """A certificate with its key in one PEM file, by an issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .sign(key if by is None else by[1], hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return made, key


def nginx(folder: Path, site: str) -> list[str]:
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"include {folder}/site.conf; }}\n"
    )
    return ["nginx", "-e", f"{folder}/log", "-c", f"{folder}/nginx.conf"]


def caddy(folder: Path, site: str) -> list[str]:
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + site)
    return ["caddy", "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


SHIPPED: dict[str, tuple[str, Callable[[Path, str], list[str]]]] = {
    "nginx": ("deploy/nginx/xieban.conf", nginx),
    "caddy": ("deploy/caddy/Caddyfile", caddy),
}


@contextlib.contextmanager
def fronted(kind: str, hub: RunningHub, folder: Path, *without: str) -> Iterator[Front]:
    """The shipped configuration, but for places and ports (and lines left out), before the hub."""
    program = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"no {kind}: its configuration is not tested (Debian: apt install {kind})")
    file, command = SHIPPED[kind]
    site, port, tls = (ROOT / file).read_text(), free_port(), folder / "tls"
    tls.mkdir()
    certificates(tls)
    for before, after in (
        ("/etc/xieban/tls", str(tls)),
        ("127.0.0.1:8420", f"127.0.0.1:{hub.port}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl") if kind == "nginx" else (f"{NAME} {{", f"{NAME}:{port} {{"),
        *((left_out, "") for left_out in without),
    ):
        assert before in site, before
        site = site.replace(before, after)
    words = command(folder, site)
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen([program, *words[1:]], stdout=said, stderr=said, env=environment)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until and not listening(port):
            assert process.poll() is None, (folder / "said").read_text()
            time.sleep(0.05)
        yield Front(port, tls)
    finally:
        process.terminate()
        process.wait(20)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub that knows of its proxy, with two bureaus and somebody who looks on."""
    config = tmp_path_factory.mktemp("config") / "config.toml"
    config.write_text('[server]\nproxies = ["127.0.0.1"]\n[console]\norigin = "https://hub.example"\n')
    with running_hub("--config", str(config)) as hub:
        enrolled(hub, HERE, THERE, SUPERVISOR)
        yield hub


@pytest.fixture(scope="module", params=SHIPPED)
def front(
    request: pytest.FixtureRequest, behind: RunningHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    with fronted(request.param, behind, tmp_path_factory.mktemp("front")) as running:
        yield running


def test_partners_come_with_a_certificate_and_everybody_else_to_what_is_for_everybody(front: Front) -> None:
    assert [front.status(path, certified=False) for path in ("/v1/hub", "/v1/mailbox")] == [403, 403]
    assert front.status("/v1/hub") == 200
    assert [front.status(path, certified=False) for path in ("/log/checkpoint", "/console/login", "/readyz")] == [
        200
    ] * 3
    assert front.status("/metrics") == 200  # from this very machine
    context = front.context(certified=False)
    context.load_cert_chain(front.tls / "stranger.pem")
    with named(), pytest.raises((OSError, urllib.error.URLError)) as refused:
        urllib.request.urlopen(f"{front.url}/log/checkpoint", context=context, timeout=20)
    assert not isinstance(refused.value, urllib.error.HTTPError) or refused.value.code == 400


async def test_the_sdk_works_a_case_with_a_large_attachment_and_waits_for_mail(front: Front, tmp_path: Path) -> None:
    paper = tmp_path / "paper.bin"
    paper.write_bytes(os.urandom(LARGE))
    with named():
        async with (
            HERE.client(front.url, tls=front.context()) as here,
            THERE.client(front.url, tls=front.context()) as there,
        ):
            after = (await there.poll(0, limit=500)).next
            waiting = asyncio.create_task(there.poll(after, wait=30))
            manifest = await here.attach(attachments.seal(paper, tmp_path / "sealed"))
            await here.fetch_attachment(manifest, tmp_path / "back")
            began = asyncio.get_running_loop().time()
            await here.open_case(THERE.id, example("case-assistance", "request"), content("case-assistance", "request"))
            page = await waiting
            assert asyncio.get_running_loop().time() - began < 15
            assert [item.event.source for item in page.items] == [HERE.id]
    assert (tmp_path / "back/paper.bin").read_bytes() == paper.read_bytes()


async def test_events_for_browsers_come_as_they_are_written_and_log_ins_are_counted_by_caller(
    front: Front, behind: RunningHub
) -> None:
    who = f"zhang.{front.port}"
    invite = ["people", "invite", who, "--organisation", SUPERVISOR.id, "--full-name", "张伟", "--data"]
    assert behind.run(*invite, str(behind.data)).returncode == 0
    link = behind.run("people", "link", who, "--data", str(behind.data)).stdout.strip()
    connector = aiohttp.TCPConnector(local_addr=(CALLER, 0), ssl=front.context(certified=False))
    with named():
        async with aiohttp.ClientSession(front.url, connector=connector) as browser:
            form = {"name": who, "password": "not the password", "code": "000000"}
            headers = {"Origin": "https://hub.example"}
            async with browser.post("/console/login", data=form, headers=headers) as refused:
                assert refused.status in (401, 403)
            entering = "/console/enter/" + link.rpartition("/")[2]
            async with browser.post(entering, headers=headers, allow_redirects=False) as entered:
                assert entered.status == 303 and "Secure" in entered.headers["Set-Cookie"]
            cookie = {"Cookie": entered.headers["Set-Cookie"].partition(";")[0]}
            async with asyncio.timeout(10), browser.get("/console/live", headers=cookie) as live:
                assert live.headers["Content-Type"].startswith("text/event-stream")
                assert await live.content.readany() == b": \n\n"
                assert not live.content.at_eof()
    connection = await asyncpg.connect(embedded.dsn(behind.data))
    keys = {row["key"] for row in await connection.fetch("SELECT key FROM login_failure")}
    await connection.close()
    assert f"address:{CALLER}" in keys and "address:127.0.0.1" not in keys


def test_without_its_line_on_sizes_nginx_would_take_no_attachment(behind: RunningHub, tmp_path: Path) -> None:
    with fronted("nginx", behind, tmp_path, "client_max_body_size 4g;") as small:
        assert small.status("/v1/attachments/00", method="PUT", body=bytes(2 << 20)) == 413


def test_without_its_line_on_certificates_nginx_lets_everybody_in(behind: RunningHub, tmp_path: Path) -> None:
    with fronted("nginx", behind, tmp_path, "return 403;") as open_to_all:
        assert open_to_all.status("/v1/hub", certified=False) == 200


@pytest.fixture
def own_keys(tmp_path: Path) -> KeyStore:
    """The keys of a bureau, as its programs find them."""
    store = KeyStore(tmp_path / "keys")
    store.create()
    for key in (HERE.signing, HERE.sealing):
        store.add(key, "a passphrase")
    return store


def test_the_command_line_shows_its_certificate(
    behind: RunningHub, own_keys: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fronted("nginx", behind, tmp_path) as front:
        for name, value in (
            ("XIEBAN_PASSPHRASE", "a passphrase"),
            ("SSL_CERT_FILE", str(front.tls / "ca.pem")),
            ("XIEBAN_CERTIFICATE", str(front.tls / "partner.pem")),
        ):
            monkeypatch.setenv(name, value)
        where = ["--hub", f"https://127.0.0.1:{front.port}", "--as", HERE.id, "--keys", str(own_keys.directory)]
        polled = CliRunner().invoke(app, ["poll", "--json", *where])
        assert polled.exit_code == 0, polled.exc_info
        monkeypatch.setenv("XIEBAN_CERTIFICATE", str(front.tls / "none.pem"))
        unread = CliRunner().invoke(app, ["poll", *where])
        assert unread.exception is not None and "XIEBAN_CERTIFICATE" in line(unread.exception)
        monkeypatch.delenv("XIEBAN_CERTIFICATE")
        refused = behind.run("poll", *where, "--patience", "0")
        assert refused.returncode == 1 and "XIEBAN_CERTIFICATE" in refused.stderr, refused.stderr


async def test_a_desk_and_an_adapter_show_it_too(
    behind: RunningHub, own_keys: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fronted("nginx", behind, tmp_path) as front:
        monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase")
        monkeypatch.setenv("SSL_CERT_FILE", str(front.tls / "ca.pem"))
        url = f"https://127.0.0.1:{front.port}"
        assert await recognised(Desk(behind, place(tmp_path / "without"), HERE.id), url) == "应答的不是"
        monkeypatch.setenv("XIEBAN_CERTIFICATE", str(front.tls / "partner.pem"))
        assert await recognised(Desk(behind, place(tmp_path / "with"), HERE.id), url) == "410000-hub"
        config = configured(tmp_path, replace(HERE, url=url), 'root = "files"\nsettle = 0.1')
        put(tmp_path / "files", "ask.json", asked(THERE))
        adapter = subprocess.Popen([*XIEBAN, "adapter", "run", "exchange", "--config", str(config)], cwd=tmp_path)
        try:
            await until((tmp_path / "files/receipts/ask.json.receipt.json").exists)
        finally:
            adapter.terminate()
            adapter.wait(20)
        monkeypatch.setenv("XIEBAN_CERTIFICATE", str(front.tls / "ca.pem.none"))
        for command in (
            ["desk", "--store", str(tmp_path / "none")],
            ["adapter", "run", "exchange", "--config", str(config)],
        ):
            said = behind.run(*command)
            assert said.returncode != 0 and "certificate-unusable" in said.stderr and "Traceback" not in said.stderr


def place(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def recognised(desk: Desk, url: str) -> str:
    """What a new desk says that is told of this hub."""
    desk.start()
    try:
        async with Person(desk) as person:
            account = {"name": "zhou.ming", "full_name": "周明", "password": PASSWORD, "again": PASSWORD}
            await person.post(desk.first, account)
            page = await person.post("/setup/hub", {"url": url})
            return next(words for words in ("410000-hub", "应答的不是", page.words) if words in page.words)
    finally:
        desk.stop()

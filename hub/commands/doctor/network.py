"""What is called and what is listened on: ports, addresses, their certificates, and their clocks."""

import asyncio
import errno
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
from cryptography import x509
from yarl import URL

from hub.commands.doctor.finding import Report, edited, quoted
from hub.commands.doctor.machine import SOON

WITHIN = aiohttp.ClientTimeout(total=10, sock_connect=5)
CLOCK = timedelta(seconds=5)
"""A Date has whole seconds, and an answer takes its time."""


async def port(report: Report, host: str, number: int, running: bool, file: Path | None) -> None:
    """The hub's own address: answering while it runs, free while it does not."""
    report.looked.append("port")
    where = f"{host}:{number}"
    if running:
        answer = await _asked(f"http://{where}/readyz")
        if isinstance(answer, str) or answer.status != 200:
            why = answer if isinstance(answer, str) else f"status {answer.status}"
            report.error("hub-not-ready", f"枢纽在运行，但 {where} 没有就绪", f"{where} is not ready: {why}",
                         "ss -ltnp  # serve 的端口，用 --port 给出 · give serve's port by --port")  # fmt: skip
        return
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as error:
        taken = f"ss -ltnp 'sport = :{number}'  # 停下它，或换 --port · stop it, or another --port"
        mend = taken if error.errno == errno.EADDRINUSE else edited(file, '[server] host = "127.0.0.1"')
        report.error("port-in-use", f"端口 {where} 用不了", f"{where} can't be had: {error.strerror}", mend)


async def addresses(report: Report, urls: dict[str, str]) -> None:
    """Addresses with what they are for: reachable, with certificates that hold, and clocks like ours."""
    if urls:
        report.looked.append("addresses")
    for url, what in urls.items():
        answer = await _asked(url)
        if isinstance(answer, str):
            _away(report, url, what, answer)
            continue
        date = answer.headers.get("Date")
        _clock(report, url, date)
        if url.startswith("https:"):
            await _certificate(report, url, what)


async def _asked(url: str) -> aiohttp.ClientResponse | str:
    """Any answer at all, or why there is none."""
    try:
        async with (
            aiohttp.ClientSession(timeout=WITHIN) as session,
            session.get(url, allow_redirects=False, ssl=ssl.create_default_context()) as answer,
        ):
            return answer
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        return str(error) or type(error).__name__


def _away(report: Report, url: str, what: str, why: str) -> None:
    if "certificate" in why.lower():
        report.error("certificate-invalid", f"{what} {url} 的证书不可信", f"{what}, {url}: {why}",
                     f"openssl s_client -connect {_place(url)} -showcerts </dev/null"
                     "  # 证书机构由 SSL_CERT_FILE 给出 · SSL_CERT_FILE names whom to trust")  # fmt: skip
    else:
        report.warning("address-away", f"{what} {url} 连不上", f"{what}, {url}: {why}", f"curl -v {quoted(url)}")


def _place(url: str) -> str:
    parts = URL(url)
    return f"{parts.host}:{parts.port}"


def _clock(report: Report, url: str, date: str | None) -> None:
    try:
        theirs = parsedate_to_datetime(date) if date else None
    except ValueError:
        theirs = None
    if theirs is None:
        return
    off = datetime.now(UTC) - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))
    if abs(off) > CLOCK:
        report.error("clock-off", f"本机时钟与 {url} 相差 {off.total_seconds():+.0f} 秒",
                     f"this clock is {off.total_seconds():+.0f} s ahead of {url}",
                     "timedatectl set-ntp true  # 或告诉对方 · or tell them")  # fmt: skip


async def _certificate(report: Report, url: str, what: str) -> None:
    parts = URL(url)
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(parts.host, parts.port, ssl=ssl.create_default_context()), 5
        )
    except (OSError, TimeoutError):
        return
    held = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    del reader
    certificate(report, x509.load_der_x509_certificate(held), f"{what} {url}", f"certbot renew  # 在 {parts.host} 上")


def certificate(report: Report, held: x509.Certificate, whose: str, mend: str) -> None:
    """When a certificate ends."""
    end = held.not_valid_after_utc
    day = f"{end:%Y-%m-%d}"
    if end < datetime.now(UTC):
        report.error("certificate-ended", f"{whose} 的证书 {day} 已到期", f"{whose}: ended {day}", mend)
    elif end < datetime.now(UTC) + SOON:
        report.warning("certificate-ending", f"{whose} 的证书 {day} 到期", f"{whose}: ends {day}", mend)

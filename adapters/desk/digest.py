"""The digest of a day: what came in, what is due, what is overdue, in a file or by mail. Never what is sealed.

It holds case numbers, titles of protocols and states, dates and names of authorities: what the hub may know, too.
"""

import smtplib
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from pathlib import Path
from typing import Any, ClassVar, Final

from adapters.desk.bureau import turns
from adapters.desk.habits import Mail
from keys.errors import Fault

WITHIN: Final = 20.0
"""Seconds that a mail server is waited for."""
Row = tuple[str, str, str, str]
"""A case: its number, what it is and where it stands, the other side, the day it is due."""


class DigestNotDelivered(Fault):
    """The digest could not be written or mailed."""

    code: ClassVar[str] = "desk-digest-not-delivered"


@dataclass(frozen=True, slots=True)
class Digest:
    """What stands in the digest of a day."""

    bureau: str
    day: date
    overdue: tuple[Row, ...]
    today: tuple[Row, ...]
    soon: tuple[Row, ...]
    arrived: tuple[Row, ...]
    waiting: int
    """Drafts that wait for a head."""

    @property
    def subject(self) -> str:
        """A line of it."""
        return (
            f"协办 {self.day.isoformat()}：超期 {len(self.overdue)}，今日到期 {len(self.today)}，"
            f"新到 {len(self.arrived)}"
        )

    def text(self) -> str:
        """The digest, for people."""
        lines = [f"{self.bureau}　{self.subject}", ""]
        for heading, rows in (
            ("已超期 Overdue", self.overdue),
            ("今日到期 Due today", self.today),
            ("三个工作日内到期 Due within three working days", self.soon),
            ("新到、尚未阅看 Came in, not looked at", self.arrived),
        ):
            lines.append(f"{heading}：{len(rows)}")
            lines += [f"  {due or '—'}  {what}  {other}  {number}" for number, what, other, due in rows]
            lines.append("")
        lines += [f"待签发的草稿 Drafts that wait for the head：{self.waiting}", ""]
        lines.append("内容见办案台；本摘要不含密封内容。 What is sealed is read at the desk alone.")
        return "\n".join(lines) + "\n"


def made(
    bureau: str, organisation: str, day: date, soon: date, cases: Iterable[Mapping[str, Any]],
    arrived: Iterable[Mapping[str, Any]], waiting: int, row: Callable[[Mapping[str, Any]], Row],
) -> Digest:  # fmt: skip
    """The digest of a day; `soon` is the last day that counts as near."""
    late, now, rest = turns(cases, organisation, day)
    return Digest(
        bureau,
        day,
        tuple(row(case) for case in late),
        tuple(row(case) for case in now),
        tuple(row(case) for case in rest if case["due"] and case["due"]["date"] <= soon.isoformat()),
        tuple(row(case) for case in arrived),
        waiting,
    )


def write(digest: Digest, folder: Path) -> Path:
    """Write it into a folder, one file a day. Raises DigestNotDelivered."""
    file = folder / f"xieban-{digest.day.isoformat()}.txt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(digest.text(), "utf-8")
    except OSError as error:
        raise DigestNotDelivered(f"{file}: {error.strerror or error}") from None
    return file


def mail(digest: Digest, by: Mail) -> None:
    """Mail it; blocking. Raises DigestNotDelivered."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = digest.subject, by.sender, ", ".join(by.to.split())
    message["Date"], message["Message-ID"] = localtime(), make_msgid(domain=by.sender.rpartition("@")[2])
    message.set_content(digest.text())
    trusted = ssl.create_default_context()
    try:
        if by.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(by.host, by.port, timeout=WITHIN, context=trusted)
        else:
            server = smtplib.SMTP(by.host, by.port, timeout=WITHIN)
        with server:
            if by.security == "starttls":
                server.starttls(context=trusted)
            if by.account:
                server.login(by.account, by.password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise DigestNotDelivered(f"{by.host}:{by.port}: {error}") from None

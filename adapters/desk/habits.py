"""How a bureau wants its desk: when it locks itself, and where the digest of the day goes."""

import re
from typing import ClassVar, Final, Literal

import msgspec

from adapters.desk.vault import Vault
from keys.errors import Fault

DigestTo = Literal["nobody", "file", "mail"]
Security = Literal["tls", "starttls", "none"]
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_ADDRESS = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,190}")
KIND: Final = "habits"


class HabitsInvalid(Fault):
    """A setting can't be like this."""

    code: ClassVar[str] = "desk-setting-invalid"


class Mail(msgspec.Struct, frozen=True):
    """Where a digest is mailed, and through whom (SMTP, RFC 5321; submission, RFC 6409)."""

    host: str = ""
    port: int = 465
    security: Security = "tls"
    account: str = ""
    password: str = ""
    sender: str = ""
    to: str = ""
    """Addresses, separated by spaces."""


class Habits(msgspec.Struct, frozen=True):
    """What a desk is set to."""

    lock_after: int = 30
    """Minutes without anybody doing anything, after which everybody is logged out."""
    stays_open: bool = False
    """Whether it receives and sends on while nobody is logged in; else keys are locked then, and nothing is opened."""
    digest: DigestTo = "nobody"
    digest_at: str = "08:30"
    """A time of day in China."""
    folder: str = ""
    """Where digests are written; the desk's own folder where it is empty."""
    mail: Mail = Mail()


def load(vault: Vault) -> Habits:
    """The habits in an open store, the usual ones at first."""
    value = vault.get(KIND, "all")
    return Habits() if value is None else msgspec.convert(value, Habits)


def save(vault: Vault, habits: Habits) -> None:
    """Keep them. Raises HabitsInvalid for what can't be."""
    if not 5 <= habits.lock_after <= 480:
        raise HabitsInvalid("locked after 5 to 480 minutes", zh="锁定时间为 5 至 480 分钟")
    if _TIME.fullmatch(habits.digest_at) is None:
        raise HabitsInvalid("the time of the digest is like 08:30", zh="摘要时间应像 08:30")
    mail = habits.mail
    if habits.digest == "mail":
        addresses = [mail.sender, *mail.to.split()]
        if not mail.host or not 0 < mail.port < 65536 or not mail.to.split():
            raise HabitsInvalid("mail needs a server, its port and who it is for", zh="邮件要填服务器、端口和收件人")
        if any(_ADDRESS.fullmatch(one) is None for one in addresses):
            raise HabitsInvalid("a mail address is like name@example.cn", zh="邮件地址应像 name@example.cn")
        if mail.account and mail.security == "none":
            raise HabitsInvalid(
                "a password is sent over an encrypted connection only: choose TLS or STARTTLS",
                zh="有口令的邮件服务器须加密，请选 TLS 或 STARTTLS",
            )
    vault.put(KIND, "all", msgspec.to_builtins(habits))

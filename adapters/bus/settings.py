"""The bus's own part of the section: where it is, what goes onto it, and files with what it lets in by."""

import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from adapters.running.configuration import AdapterConfigInvalid, Section
from keys import private_files
from keys.errors import Fault
from keys.jwk import DecryptionKey
from keys.keystore import KeyStore, read_passphrase

_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")
_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a section says beside what all adapters have."""

    servers: tuple[str, ...]
    """`nats://` or `tls://` for NATS, `amqp://` or `amqps://` for RabbitMQ; without a user and a password."""
    stream: str = "XIEBAN"
    """The JetStream stream; with RabbitMQ the topic exchange."""
    prefix: str = "xieban"
    """What every subject begins with."""
    create: bool = False
    """Whether to make the stream where it is missing."""
    replicas: int = 1
    """Of a stream that is made: on how many servers it lies."""
    days: float = 30.0
    """Of a stream that is made: how long events stay."""
    window: float = 24.0
    """Of a stream that is made: for how many hours the same id is the same event."""
    timeout: float = 10.0
    """Seconds after which a bus that does not answer counts as away."""
    with_message: bool = False
    """Whether the signed message goes along, with its sealed part sealed as it is."""
    notices: bool = True
    """Whether what the hub tells of deadlines goes onto the bus."""
    wanted: str | None = None
    """Where systems publish messages to be sent, followed by `.` and the organisation; nothing is taken without."""
    results: str = "xieban.result"
    """Where they are told what became of them."""
    token_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    nkey_file: Path | None = None
    credentials_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


def settings(section: Section) -> Settings:
    """The settings, files found from where the configuration is. Raises AdapterConfigInvalid."""
    found = section.read(Settings)
    if "results" not in section.own:
        found = msgspec.structs.replace(found, results=f"{found.prefix}.result")
    if problem := _problem(found):
        raise AdapterConfigInvalid(f"[adapters.{section.name}] {problem}")
    return found


def secret(file: Path) -> str:
    """The one line of a file that others can't read. Raises AdapterConfigInvalid."""
    try:
        text = private_files.read_secret(file).decode("utf-8").strip("\r\n")
    except (Fault, UnicodeDecodeError) as error:
        raise AdapterConfigInvalid(f"{file}: {error}") from None
    if not text or not text.isprintable():
        raise AdapterConfigInvalid(f"{file} holds one line")
    return text


def private(file: Path) -> Path:
    """The file, which others can't read. Raises AdapterConfigInvalid."""
    try:
        private_files.read_secret(file)
    except Fault as fault:
        raise AdapterConfigInvalid(f"{file}: {fault}") from None
    return file


def tls(known: Settings) -> ssl.SSLContext:
    """TLS as the settings have it: the machine's authorities, or those of a file. Raises AdapterConfigInvalid."""
    try:
        context = ssl.create_default_context(cafile=known.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if known.certificate_file is not None:
            # A file that holds both is a secret as a whole.
            context.load_cert_chain(known.certificate_file, private(known.key_file or known.certificate_file))
    except (OSError, ValueError) as error:
        files = ", ".join(str(one) for one in (known.ca_file, known.certificate_file) if one is not None)
        raise AdapterConfigInvalid(f"TLS with {files}: {error}") from None
    return context


def openers(section: Section) -> list[DecryptionKey]:
    """The keys that open what systems sealed to these organisations. Raises KeyStoreFault."""
    common = section.common
    passphrase = read_passphrase(common.passphrase_file)
    return [key for one in (common.keys, *common.sealed_keys) for key in KeyStore(one).decryption_keys(passphrase)]


def _problem(found: Settings) -> str | None:
    subjects = {"prefix": found.prefix, "wanted": found.wanted, "results": found.results}
    for name, value in subjects.items():
        if value is not None and not _SUBJECT.fullmatch(value):
            return f"{name} is words of letters, digits, - and _, with dots between"
    if not found.servers or any(urlsplit(one).username or urlsplit(one).password for one in found.servers):
        return "servers are addresses without user and password, which belong into files"
    if not _STREAM.fullmatch(found.stream):
        return "stream is letters, digits, - and _"
    if found.wanted is not None and (found.wanted == found.results or found.wanted == found.prefix):
        return "wanted, results and prefix are subjects of their own"
    if (found.user is None) != (found.password_file is None):
        return "user and password_file go together"
    if not (0.1 <= found.timeout <= 300 and 1 <= found.replicas <= 5 and found.days > 0 and found.window > 0):
        return "timeout is 0.1 to 300 seconds, replicas 1 to 5, days and window more than nothing"
    return None

"""Where calls may go: https, a plain host, an address that is public or allowed, judged when the connection is made.

A name is not trusted for what it resolved to a moment ago: each address is judged as its socket is made, so that
nothing between look-up and connection can change it (server-side request forgery, DNS rebinding).
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Collection, Sequence
from typing import Any, Final

import aiohttp
from yarl import URL

from adapters.provincial.settings import Network
from adapters.running.configuration import AdapterConfigInvalid

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in the last four octets."""

_PLACE: Final = re.compile(r"\{([^}]*)\}?")


class AddressForbidden(OSError):
    """The address is neither public nor allowed."""


class Guard:
    """The addresses that may be called: public ones, and these networks."""

    def __init__(self, networks: Sequence[Network], allow_http: bool) -> None:
        self._networks, self._allow_http = tuple(networks), allow_http

    def allows(self, address: str) -> bool:
        """Whether this address, and every one that stands inside it, is public or allowed."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(self._allowed(one) for one in _inside(found))

    def _allowed(self, address: _Address) -> bool:
        if any(address in network for network in self._networks):
            return True
        return address.is_global and not address.is_multicast and not address.is_reserved

    def url(self, text: str, places: Collection[str] = ()) -> URL:
        """An address of the configuration, checked as far as its spelling tells. Raises AdapterConfigInvalid.

        Places in braces, of these names, may stand in path and query: a message never decides to which host it goes.
        """
        if unknown := set(_PLACE.findall(text)) - set(places):
            raise AdapterConfigInvalid(f"{text[:80]!r}: there is no {', '.join(sorted(unknown))} to put in")
        try:
            url = URL(text.replace("{", "%7B").replace("}", "%7D"), encoded=True)
            host, _ = url.raw_host, url.port
        except ValueError as error:
            raise AdapterConfigInvalid(f"{text[:80]!r} is no address: {error}") from None
        schemes = ("https", "http") if self._allow_http else ("https",)
        if url.scheme not in schemes or not host:
            raise AdapterConfigInvalid(f"{text[:80]!r}: an address begins with {' or '.join(schemes)}://HOST")
        if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
            raise AdapterConfigInvalid("an address holds no user and no password; see authentication")
        if "%" in url.raw_authority or "\\" in text or url.raw_fragment:
            raise AdapterConfigInvalid(f"{text[:80]!r}: the host is plain, and there is no fragment")
        literal = _literal(host)
        if literal is not None and not self.allows(literal):
            raise AdapterConfigInvalid(f"{host} is neither public nor in allow_private")
        return url

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """A connector whose every socket is for an allowed address."""
        return aiohttp.TCPConnector(socket_factory=self._socket, **options)

    def _socket(self, where: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = where
        if not self.allows(str(address[0])):
            raise AddressForbidden(errno.EACCES, f"{address[0]} is neither public nor in allow_private")
        return socket.socket(family, kind, protocol)


def _literal(host: str) -> str | None:
    """The address that a host is itself, also where it is written in octal, hexadecimal or as one number."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except OSError:
        return None


def _inside(address: _Address) -> list[_Address]:
    """The address, or the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    embedded: list[_Address] = [address]
    if address in _NAT64:
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        embedded.append(address.sixtofour)
    if address.teredo is not None:
        embedded += address.teredo
    return embedded

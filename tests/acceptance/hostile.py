"""What a hostile caller sends: JSON that parsers disagree on, bodies that unfold, addresses that lead elsewhere."""

import gzip
import http.client
import os
import zlib
from pathlib import Path
from typing import Final

from tests.conftest import RunningHub

ODD_JSON: Final[dict[str, bytes]] = {
    "nothing": b"",
    "duplicate keys": b'{"id":"a","id":"b"}',
    "NaN": b'{"id":NaN}',
    "infinity": b'{"id":-Infinity}',
    "a number beyond floats": b'{"id":1e999}',
    "a huge integer": b'{"id":' + b"9" * 5000 + b"}",
    "a lone surrogate": b'{"id":"\\ud800"}',
    "bytes that are not UTF-8": b'{"id":"\xff"}',
    "UTF-16": '{"id":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"id":1}',
    "deep nesting": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "trailing text": b'{"id":1} x',
    "two values": b'{"id":1}{"id":2}',
    "an array": b"[]",
    "a comment": b'{"id":1 /* x */}',
}

UNFOLDED: Final = 80 << 20
"""Bytes that a bomb of a few hundred kilobytes unfolds to."""


def bombs() -> dict[str, tuple[str, bytes]]:
    """Content codings with bodies that unfold to UNFOLDED, once or twice."""
    plain = bytes(UNFOLDED)
    once = gzip.compress(plain, 6)
    return {
        "gzip": ("gzip", once),
        "deflate": ("deflate", zlib.compress(plain, 6)),
        "gzip in gzip": ("gzip, gzip", gzip.compress(once)),
    }


CLIMBING: Final = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "..%5c..%5c..%5cetc%5cpasswd",
    "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "..%c0%af..%c0%afetc/passwd",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "..;/..;/etc/passwd",
    "....//....//etc/passwd",
    ".",
    "..",
    "%00",
    "console.css%00.svg",
    "a" * 4000,
)
"""Ends of an address that would leave a folder, were they joined to it."""

ODD_HEADERS: Final[dict[str, dict[str, str]]] = {
    "a long one": {"X-Long": "a" * 20_000},
    "many": {f"X-{number}": "a" for number in range(2_000)},
    "a long token": {"Authorization": "Bearer " + "a." * 4_000},
    "an unknown coding": {"Content-Encoding": "br, gzip, x"},
    "chunked twice": {"Transfer-Encoding": "chunked, chunked"},
    "a negative length": {"Content-Length": "-1"},
    "two lengths": {"Content-Length": "1, 2"},
    "a long type": {"Content-Type": "a" * 7_000},
    "a type not in ASCII": {"Content-Type": "application/jose; charset=\xff"},
    "many ranges": {"Range": "bytes=" + "0-1," * 1_000},
    "many languages": {"Accept-Language": "zh," * 2_000},
}


def answered(
    hub: RunningHub, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, bytes]:
    """One call exactly as written: nothing in the address is resolved or encoded on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (BrokenPipeError, ConnectionResetError):
        return 413, b""  # it closed the connection rather than read on
    finally:
        connection.close()


def processes(hub: RunningHub) -> list[Path]:
    """The hub's own processes, PostgreSQL's left out, as folders of proc(5)."""
    pids = [hub.process.pid]
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [one for pid in pids if "postgres" not in ((one := Path(f"/proc/{pid}")) / "comm").read_text()]


def memory(hub: RunningHub, what: str) -> int:
    """Bytes of the hub's own processes: VmRSS, what they have, or VmHWM, the most that they had."""
    lines = [line.split() for one in processes(hub) for line in (one / "status").read_text().splitlines()]
    return sum(int(line[1]) << 10 for line in lines if line[0] == what + ":")


def processor(hub: RunningHub) -> float:
    """Seconds of processor time that the hub's own processes have had."""
    fields = [(one / "stat").read_text().rpartition(")")[2].split() for one in processes(hub)]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")

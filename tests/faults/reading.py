"""Reading the hub as anybody may who has a key: the log, the mailboxes, the cases, into the evidence."""

import urllib.request
from collections.abc import Iterable

from tests.acceptance.outsider import Outsider
from tests.acceptance.verifier import read_note
from tests.faults.evidence import Evidence

WIDTH = 256
PAGE = 500


def read_all(evidence: Evidence, url: str, auditor: Outsider, bureaus: Iterable[Outsider]) -> None:
    """Bring log, mailboxes and cases in the evidence up to what the hub at `url` says now.

    The log is read last: what anybody was handed before is in it.
    """
    bureaus = list(bureaus)
    for bureau in bureaus:
        read_mailbox(evidence, bureau)
    by_id = {bureau.id: bureau for bureau in bureaus}
    parties = {attempted.sent.case: by_id[attempted.sent.source] for attempted in evidence.sent.values()}
    while evidence.touched:
        case = evidence.touched.pop()
        read_case(evidence, parties[case], case)
    read_log(evidence, url, auditor)


def read_mailbox(evidence: Evidence, bureau: Outsider) -> None:
    """What came into the mailbox since it was last read."""
    items = evidence.mailboxes.setdefault(bureau.id, [])
    while True:
        status, page = bureau.call("GET", f"/v1/mailbox?after={len(items)}&limit={PAGE}&proof=1")
        assert status == 200, page
        items += page["items"]
        if not page["behind"]:
            return


def read_case(evidence: Evidence, party: Outsider, case: str) -> None:
    """The case as it is now; nothing where it was never opened."""
    status, view = party.call("GET", f"/v1/cases/{case}")
    if status == 200:
        evidence.cases[case] = view
    else:
        assert status == 404, view


def read_log(evidence: Evidence, url: str, auditor: Outsider) -> None:
    """The log from its public tiles, and from an auditor's bundles, up to the newest checkpoint."""
    with urllib.request.urlopen(url + "/log/checkpoint", timeout=20) as response:
        note = response.read().decode()
    evidence.notes.append(note)
    size = read_note(note, evidence.jwks).size
    tile = len(evidence.entries) // WIDTH
    del evidence.hashes[tile * WIDTH :]
    for number in range(tile, (size + WIDTH - 1) // WIDTH):
        name = tile_name(number, size)
        with urllib.request.urlopen(f"{url}/log/tile/0/{name}", timeout=20) as response:
            body = response.read()
        evidence.hashes += [body[at : at + 32] for at in range(0, len(body), 32)]
        status, bundle = auditor.call("GET", f"/log/tile/entries/{name}")
        assert status == 200, bundle
        bundled = unbundled(bundle)
        known = len(evidence.entries) - number * WIDTH
        assert evidence.entries[number * WIDTH :] == bundled[: max(known, 0)], f"entries of tile {name} have changed"
        evidence.entries += bundled[max(known, 0) :]


def tile_name(number: int, size: int) -> str:
    """C2SP tlog-tiles: groups of three digits, all but the last with an x; the width where it is partial."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    width = min(WIDTH, size - number * WIDTH)
    return name if width == WIDTH else f"{name}.p/{width}"


def unbundled(bundle: bytes) -> list[bytes]:
    """C2SP tlog-tiles: each entry after its length in two bytes."""
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found

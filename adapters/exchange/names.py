"""Names of files: which are taken as they are, which are passed over, what lies beside a file."""

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 180
"""Bytes of a name in UTF-8: what is written beside it has a longer one, and 255 are what file systems take."""
SIGNATURE, READY, PROBLEM = ".sig", ".ready", ".problem.txt"
_UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart", ".crdownload", "~")
_LITTER: Final = ("thumbs.db", "desktop.ini")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def passed_over(name: str) -> bool:
    """Whether a file of this name is unfinished, hidden or an editor's: it is left alone."""
    lower = name.lower()
    return name.startswith((".", "~$")) or lower.endswith(_UNFINISHED) or lower in _LITTER


def beside(name: str) -> bool:
    """Whether it only goes with another file: its signature, or the mark that it is whole."""
    return name.lower().endswith((SIGNATURE, READY))


def plain(name: str) -> bool:
    """Whether a name means the same on every system: printable, not too long, no path, no device of Windows."""
    return (
        0 < len(raw(name)) <= LONGEST
        and _printable(name)
        and not _FORBIDDEN.search(name)
        and not _RESERVED.fullmatch(name)
        and not name.endswith((".", " "))
        and not name.startswith((" ", "-", ".."))
    )


def shown(name: str) -> str:
    """The name itself where it is plain; else one that is, and that no other name has."""
    if plain(name):
        return name
    kept = "".join(char if char.isalnum() or char in "-_" else "_" for char in name if _printable(char))[:40]
    return f"unnamed-{kept.strip('_-')}-{hashlib.sha256(raw(name)).hexdigest()[:12]}"


def numbered(name: str, mark: str) -> str:
    """The name with a mark before its ending: `a.json` and `2` is `a.2.json`."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{mark}.{ending}" if dot and stem else f"{name}.{mark}"


def same(name: str) -> str:
    """What two names have in common that are one file on some systems."""
    return unicodedata.normalize("NFC", name).casefold()


def raw(name: str) -> bytes:
    """The name as it is kept: bytes, since not every name is a text."""
    return name.encode("utf-8", "surrogatepass")


def unraw(name: bytes) -> str:
    """The name that was kept."""
    return name.decode("utf-8", "surrogatepass")


def _printable(name: str) -> bool:
    # Marks that turn the direction of writing make a name look like another one.
    return all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in name)

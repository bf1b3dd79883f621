"""Text that others wrote, made fit to be read on a terminal."""

import json
import unicodedata


def escaped(document: str) -> str:
    """The same JSON, with escapes for what moves a cursor, changes a colour or turns the direction of writing.

    Such characters can only stand in strings; a partner's texts must not drive the terminal of who reads them.
    """
    return "".join(char if harmless(char) else json.dumps(char)[1:-1] for char in document)


def harmless(char: str) -> bool:
    """Whether a terminal shows the character, and does nothing else."""
    return char == "\n" or char.isprintable() or unicodedata.category(char) == "Zs"

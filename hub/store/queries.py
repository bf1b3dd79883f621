"""The SQL statements by name, read once from the `.sql` files beside this module."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType


def read(folder: Path) -> Mapping[str, str]:
    """Every `-- name: x` statement of the folder's files. Raises ValueError where a name stands twice."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        for part in file.read_text("utf-8").split("-- name: ")[1:]:
            name, _, statement = part.partition("\n")
            if name.strip() in found:
                raise ValueError(f"{file.name}: {name.strip()} stands twice")
            found[name.strip()] = statement.strip().rstrip(";")
    return MappingProxyType(found)


SQL = read(Path(__file__).parent / "sql")

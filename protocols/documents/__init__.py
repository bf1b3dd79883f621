"""Documents of the catalogue, made from its data: a page and a diagram for each protocol, a page for each message."""

from collections.abc import Iterator
from pathlib import Path

from protocols.documents import diagram, pages
from protocols.loading import Catalogue

INDEX = "README.md"


def files(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Every document: its path and its text; the same bytes for the same catalogue."""
    protocols = sorted(catalogue.protocols.values(), key=lambda protocol: (protocol.name, protocol.version))
    yield INDEX, pages.index(protocols)
    for protocol in protocols:
        folder = pages.folder(protocol)
        yield f"{folder}/README.md", pages.protocol(protocol)
        yield f"{folder}/flow.svg", diagram.draw(protocol.flow)
        for message in protocol.messages.values():
            yield f"{folder}/{message.name}.md", pages.message(protocol, message)


def write(catalogue: Catalogue, folder: Path) -> int:
    """Write every document below `folder`, and remove those that there are no more; how many there are."""
    made = dict(files(catalogue))
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.suffix in (".md", ".svg") and path.relative_to(folder).as_posix() not in made:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return len(made)

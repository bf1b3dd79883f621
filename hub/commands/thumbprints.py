"""Commands that are given a key's id: a thumbprint (RFC 7638) in base64url, which may begin with a hyphen."""

import re
from typing import Any

from typer.core import TyperCommand

_HYPHENATED = re.compile(r"-[A-Za-z0-9_-]{42}")


class OfKeys(TyperCommand):
    """A command whose last argument is a key's id. One that begins with a hyphen is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, such ids behind `--`."""
        ids = [] if "--" in args else [one for one in args if _HYPHENATED.fullmatch(one)]
        rest = [one for one in args if one not in ids]
        return super().parse_args(ctx, [*rest, "--", *ids] if ids else args)

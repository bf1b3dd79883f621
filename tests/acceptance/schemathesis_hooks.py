"""How generated bodies of the media types that are plain text to HTTP are put on the wire."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/jose", "application/x-ndjson")
def text(context: Any, value: Any) -> bytes:
    """The text itself, in UTF-8."""
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "surrogatepass")

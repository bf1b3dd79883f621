"""What was looked at of a workbook is what is read of it: a part that states a false length is never unfolded."""

import io
import tracemalloc
import zipfile
import zlib

from adapters import workbook
from tests.fuzzing.partners import a_workbook, sheet

PART = "[Content_Types].xml"
LONG = (25 << 20) + 54_321


def understated() -> bytes:
    """A workbook of which one part unfolds to 25 MiB, with the length and the checksum of its first bytes stated."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(a_workbook())) as held, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        said = held.read(PART)
        long = said + b" " * (LONG - len(said))
        for name in held.namelist():
            made.writestr(zipfile.ZipInfo(name), long if name == PART else held.read(name), zipfile.ZIP_DEFLATED)
    content = out.getvalue()
    for old, new in ((LONG, len(said)), (zlib.crc32(long), zlib.crc32(said))):
        assert content.count(old.to_bytes(4, "little")) == 2
        content = content.replace(old.to_bytes(4, "little"), new.to_bytes(4, "little"))
    return content


def test_a_part_that_says_it_is_short_is_never_unfolded() -> None:
    content = understated()
    workbook.read(sheet(), a_workbook())
    tracemalloc.start()
    try:
        assert workbook.read(sheet(), content) == workbook.read(sheet(), a_workbook())
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()

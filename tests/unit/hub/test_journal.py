"""Log lines go to where standard error is when they are said."""

import io
import json
import sys

import pytest
import structlog

from hub import journal


def test_a_line_goes_to_the_standard_error_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, later = io.StringIO(), io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", closed)
        journal.configure(worker=7)
        logger = structlog.get_logger()
        logger.info("first")
        assert json.loads(closed.getvalue())["event"] == "first"
        closed.close()
        patched.setattr(sys, "stderr", later)
        logger.info("second")
    line = json.loads(later.getvalue())
    assert (line["event"], line["worker"]) == ("second", 7)

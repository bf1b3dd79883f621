"""The long form of the tests of several nodes."""

import pytest


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> None:
    """For what takes a while: with --cluster."""
    if not request.config.getoption("--cluster"):
        pytest.skip("with --cluster")

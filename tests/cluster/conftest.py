"""What takes a while: with --cluster."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skipped before any database is made for it."""
    for item in items:
        if item.get_closest_marker("cluster") and not config.getoption("--cluster"):
            item.add_marker(pytest.mark.skip(reason="with --cluster"))

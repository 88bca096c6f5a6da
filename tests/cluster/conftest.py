"""Every test of this directory needs a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory `cluster` (the hook is called with the tests of the whole run)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)

"""One nursery of commands for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.commands import Commands, commands


@pytest.fixture(scope="module")
def pairmill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Starts the real command; its output is kept apart from the test's folder."""
    with commands(tmp_path_factory.mktemp("commands")) as nursery:
        yield nursery

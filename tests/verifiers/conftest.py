"""The grading server of the judge's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verifiers.model_server import ScoringServer


@pytest.fixture
def server() -> Iterator[ScoringServer]:
    """A ScoringServer that listens for the length of one test."""
    with ScoringServer().serving() as server:
        yield server

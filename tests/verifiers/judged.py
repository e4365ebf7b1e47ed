"""A judge asked about one answer, for the tests of `judge`."""

from __future__ import annotations

from typing import Any

from collector.records.rows import Verdict
from tests.verifiers.make import judge
from tests.verifiers.model_server import ScoringServer


def spec(server: ScoringServer, more: str = "") -> str:
    return f"judge:url={server.url}/v1" + (f",{more}" if more else "")


async def score(server: ScoringServer, more: str = "", text: str = "an answer", **fields: Any) -> Verdict:
    return await judge(spec(server, more), fields, text)

"""The users' functions that the tests of scoring again score with."""

from __future__ import annotations

import asyncio
from typing import Any


def length(row: dict[str, Any], text: str) -> dict[str, Any]:
    return {"reward": float(len(text)), "components": {"chars": len(text)}, "note": text[:3]}


async def slow(row: dict[str, Any], text: str) -> float:
    """Takes its time, so that a kill hits a run in the middle."""
    await asyncio.sleep(0.005)
    return float(len(text)) + int(row["id"].removeprefix("row-")) / 1000


def picky(row: dict[str, Any], text: str) -> float:
    """Refuses what ends in an even number."""
    if int(text.rsplit(" ", 1)[1]) % 2 == 0:
        raise ValueError("even")
    return 1.0


def never(row: dict[str, Any], text: str) -> float:
    raise ValueError("never")


def fields(row: dict[str, Any], text: str, reply: Any) -> dict[str, Any]:
    """Shows what a verifier is given."""
    given = {"reply_text": text, "flags": list(reply.flags), "finish": reply.finish_reason}
    return {
        "reward": 1.0,
        "given": {**given, "row": row, "usage": None if reply.usage is None else reply.usage.output_tokens},
    }

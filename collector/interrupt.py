"""Ctrl-C and SIGTERM: the first asks the run to drain, the second stops it at once.

Every signal that reaches the process counts, however close they come. Two that come before the system has given the
process a moment of processor time reach it as one: that is how signals are, and a wrapper that passes Ctrl-C on beside
the terminal does not turn a drain into a stop.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus

from collector.stopping import StopSwitch, first_error

__all__ = ["interruptible"]

T = TypeVar("T")


async def interruptible(work: Callable[[StopSwitch], Awaitable[T]], say: Callable[[str], None]) -> T | None:
    """What `work` returns, or None when a second signal cut it short. Every acknowledged row is kept either way.

    Must run in the main thread, where signals arrive. Errors of `work` come out as they are, not in a group.
    """
    stop = StopSwitch()
    results: list[T] = []
    try:
        async with anyio.create_task_group() as group:
            await group.start(_watch, stop, group.cancel_scope, say)
            results.append(await work(stop))
            group.cancel_scope.cancel()
    except* Exception as errors:
        raise first_error(errors) from None
    return results[0] if results else None


async def _watch(
    stop: StopSwitch,
    scope: anyio.CancelScope,
    say: Callable[[str], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if stop.thrown:
                scope.cancel()
                return
            stop.throw()
            say(_what_is_left(stop.to_judge()))


def _what_is_left(to_judge: int) -> str:
    if not to_judge:
        return "stopping: requests in flight are being finished; once more stops at once"
    replies = f"{to_judge} replies" if to_judge > 1 else "1 reply"
    return (
        f"stopping: requests in flight are being finished, and {replies} judged; once more stops at once,"
        " and --resume asks again for what was not judged"
    )

"""The limiter: never more than its number, always that many when there is work, first come first served."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from collector.limiter import AdaptiveLimiter, FixedLimiter, Limiter


async def test_exactly_the_limit_is_in_flight() -> None:
    """Ten times as many callers as slots: the high-water mark is the limit, and it is never passed."""
    limiter: Limiter = FixedLimiter(5)

    async def work() -> None:
        async with limiter.slot():
            assert limiter.in_flight <= limiter.limit
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(work)
    assert (limiter.high_water, limiter.in_flight, limiter.limit) == (5, 0, 5)


async def test_slots_are_given_in_the_order_of_asking() -> None:
    """Requests start in input order because of this; a newcomer cannot pass those who wait."""
    limiter = FixedLimiter(1)
    order: list[int] = []

    async def work(number: int) -> None:
        await limiter.acquire()
        order.append(number)
        await anyio.lowlevel.checkpoint()
        limiter.release()

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(work, number)
    assert order == list(range(20))


@pytest.mark.parametrize("offered", [False, True])
async def test_a_cancelled_waiter_takes_no_slot(offered: bool) -> None:
    """Cancelled while it waits, or at the very moment when the slot is handed over: the slot is free afterwards."""
    limiter = FixedLimiter(1)
    await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await anyio.lowlevel.checkpoint()
    if offered:
        limiter.release()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    if not offered:
        limiter.release()
    assert limiter.in_flight == 0
    with anyio.fail_after(5):
        await limiter.acquire()
    assert limiter.in_flight == 1


async def test_a_failure_inside_gives_the_slot_back() -> None:
    """An error in one rollout must not shrink the run."""
    limiter = FixedLimiter(1)
    with pytest.raises(RuntimeError, match="boom"):
        async with limiter.slot():
            raise RuntimeError("boom")
    assert limiter.in_flight == 0
    with pytest.raises(ValueError, match="released too many times"):
        limiter.release()
    assert limiter.in_flight == 0


async def test_a_limit_that_grows_lets_in_those_who_wait_at_once() -> None:
    """In the order of asking, and as many as there is room for; all of them may be cancelled together, waiters too."""
    limiter = AdaptiveLimiter(1)
    order: list[int] = []

    async def work(number: int) -> None:
        async with limiter.slot():
            order.append(number)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(work, number)
        await anyio.wait_all_tasks_blocked()
        assert order == [0]
        limiter.resize(4)
        await anyio.wait_all_tasks_blocked()
        assert (order, limiter.in_flight) == ([0, 1, 2, 3], 4)
        group.cancel_scope.cancel()
    assert limiter.in_flight == 0


async def test_a_limit_that_shrinks_takes_no_slot_away() -> None:
    """Those that are out stay out; the next comes when fewer than the new limit are. One below 1 is none."""
    limiter = AdaptiveLimiter(3)
    for _ in range(3):
        await limiter.acquire()
    limiter.resize(1)
    assert (limiter.in_flight, limiter.limit) == (3, 1)
    late = asyncio.ensure_future(limiter.acquire())
    for left in (2, 1):
        limiter.release()
        await asyncio.sleep(0)
        assert (late.done(), limiter.in_flight) == (False, left)
    limiter.release()
    await late
    assert limiter.in_flight == 1
    with pytest.raises(ValueError, match="a limit of 0"):
        limiter.resize(0)

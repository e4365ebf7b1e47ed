"""The place beside the generation: bounded in items and in bytes, and nobody waits for ever."""

from __future__ import annotations

import anyio

from collector.judging import Beside


class _Judge:
    """Work that is held until let go; remembers what it has done."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.done: list[str] = []

    async def work(self, item: str) -> None:
        await self.go_on.wait()
        self.done.append(item)


async def test_large_replies_are_bounded_by_their_bytes() -> None:
    """Three items of 400 bytes are more than 1,000 bytes: a fourth waits, though a hundred would fit by number."""
    judge = _Judge()
    async with anyio.create_task_group() as group:
        beside = Beside(group, judge.work, most=100, most_bytes=1000)
        for name in "abc":
            assert not beside.full
            beside.add(name, 400)
        assert beside.full
        judge.go_on.set()
        await beside.room()
        await beside.finish()
    assert sorted(judge.done) == ["a", "b", "c"]
    assert (beside.held, beside.held_bytes) == (0, 0)


async def test_all_who_wait_for_one_large_reply_go_on_when_it_is_done() -> None:
    """Whoever waits may have nothing to add: the others must not depend on it."""
    judge = _Judge()
    through: list[int] = []

    async def wait(number: int) -> None:
        await beside.room()
        through.append(number)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            beside = Beside(group, judge.work, most=100, most_bytes=1000)
            beside.add("large", 5000)
            async with anyio.create_task_group() as waiting:
                for number in range(5):
                    waiting.start_soon(wait, number)
                await anyio.wait_all_tasks_blocked()
                assert through == []
                judge.go_on.set()
            await beside.finish()
    assert sorted(through) == [0, 1, 2, 3, 4]


async def test_by_number_one_goes_on_for_each_that_is_done() -> None:
    """A judge that has caught up by one lets one request begin, not all of them at once."""
    gates = [anyio.Event() for _ in range(10)]
    through: list[int] = []

    async def work(item: int) -> None:
        await gates[item].wait()

    async def wait(number: int) -> None:
        await beside.room()
        through.append(number)

    async with anyio.create_task_group() as group:
        beside = Beside(group, work, most=10, most_bytes=1000)
        for item in range(10):
            beside.add(item, 1)
        for number in range(3):
            group.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        gates[0].set()
        await anyio.wait_all_tasks_blocked()
        assert through == [0]
        for gate in gates:
            gate.set()
        await beside.finish()

"""What is asked next: retries when they are due, fresh tasks in order, and nobody waits for ever or in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from collector.records.rows import PromptRow, Task
from collector.work import Job, Work, jobs_of


def row(index: int) -> PromptRow:
    prompt = f"question {index}"
    messages = [{"role": "user", "content": prompt}]
    return PromptRow(index, index + 1, {"prompt": prompt}, prompt, messages, prompt, {}, f"{index:016x}")


def tasks(rows: int, repeats: int, params: Any = None) -> Iterator[Task]:
    for index in range(rows):
        here = row(index)
        for repeat in range(repeats):
            yield Task(here, repeat, params(repeat) if params else {}, repeat)


def jobs(count: int) -> Iterator[Job]:
    return iter([Job((task,)) for task in tasks(count, 1)])


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def numbers(found: list[Job]) -> list[int]:
    return [job.tasks[0].row.task_index for job in found]


@given(st.lists(st.floats(0.0, 10.0), max_size=30), st.floats(0.0, 10.0))
def test_due_retries_come_first_by_their_time_and_then_fresh_ones(dues: list[float], now: float) -> None:
    """Whatever order they were put back in; those that are not due stay."""
    clock = Clock()
    work = Work(jobs(len(dues) + 2), most_pending=100, clock=clock)
    taken = [work.take() for _ in dues]
    for job, due in zip(taken, dues, strict=True):
        assert job is not None
        work.put_back(job, due)
    clock.now = now
    found = []
    while (job := work.take()) is not None:
        found.append(job)
    due_now = sorted((due, number) for number, due in enumerate(dues) if due <= now)
    assert numbers(found) == [number for _, number in due_now] + [len(dues), len(dues) + 1]
    assert work.pending == len(dues) - len(due_now)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0), st.floats(0.0, 1.0)), max_size=60),
    st.integers(1, 4),
    st.integers(0, 12),
)
def test_every_job_ends_once_and_fresh_ones_begin_in_order(
    fate: list[tuple[bool, float, float]], most_pending: int, count: int
) -> None:
    """Jobs fail and are put back at random: each ends exactly once, first attempts are in input order, and never do
    more than `most_pending` wait while a fresh one begins."""
    clock = Clock()
    work = Work(jobs(count), most_pending, clock)
    begun: list[int] = []
    ended: list[int] = []
    fates = iter(fate)
    while not work.over:
        job = work.take()
        if job is None:
            clock.now += 1.0
            continue
        if not job.number:
            assert work.pending < most_pending
            begun += numbers([job])
        job.number += 1
        fails, delay, passed = next(fates, (False, 0.0, 0.1))
        clock.now += passed
        if fails:
            work.put_back(job, clock.now + delay)
        else:
            ended += numbers([job])
            work.end()
    assert begun == sorted(ended) == list(range(count))


async def test_whoever_waits_is_woken_when_a_retry_is_due_and_when_all_is_over() -> None:
    """Ten workers, one job that fails twice: nine of them wait meanwhile, and all come home."""
    work = Work(jobs(1), most_pending=10)
    loop_turns = 0

    async def worker() -> None:
        nonlocal loop_turns
        while True:
            loop_turns += 1
            job = work.take()
            if job is None:
                if not await work.more():
                    return
                continue
            job.number += 1
            await anyio.sleep(0.01)
            if job.number < 3:
                work.put_back(job, asyncio.get_running_loop().time() + 0.02)
            else:
                work.end()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(worker)
    assert work.over
    assert loop_turns < 60  # they slept: nobody asked again and again


async def test_without_room_a_due_retry_wakes_nobody_again_and_again() -> None:
    """A worker whose endpoints are all full waits, though a retry is due, until someone says that there is room."""
    work = Work(jobs(1), most_pending=10)
    job = work.take()
    assert job is not None
    work.put_back(job, 0.0)
    asked = 0
    room = False

    async def worker() -> None:
        nonlocal asked
        while not (room and work.take()):
            asked += 1
            await work.more(room=room)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(worker)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert asked == 1
            room = True
            work.wake_all()


async def test_a_stop_lets_everyone_go_and_leaves_what_is_pending() -> None:
    """Draining: no retry is given out any more, and who waits for one is told that all is over."""
    work = Work(jobs(3), most_pending=10)
    job = work.take()
    assert job is not None
    work.put_back(job, 1e12)
    assert work.take() is not None
    work.stop()
    assert (work.take(), await work.more(), work.over) == (None, False, True)


def test_tasks_are_bundled_by_row_and_by_parameters() -> None:
    """At most so many to a request, of one row alone, with the same parameters; all of them, in order."""
    bundles = [[task.key for task in job.tasks] for job in jobs_of(tasks(2, 5), lambda: 3)]
    assert bundles == [
        [(0, 0), (0, 1), (0, 2)], [(0, 3), (0, 4)], [(1, 0), (1, 1), (1, 2)], [(1, 3), (1, 4)]
    ]  # fmt: skip
    ladder = tasks(1, 5, lambda repeat: {"temperature": repeat // 2})
    assert [len(job.tasks) for job in jobs_of(ladder, lambda: 5)] == [2, 2, 1]


def test_repeats_of_one_temperature_are_bundled_though_others_stand_between() -> None:
    """A ladder counts its temperatures round: the repeats of each go together, and none goes with another row's."""
    ladder = list(tasks(2, 5, lambda repeat: {"temperature": repeat % 2}))
    bundles = [[task.key for task in job.tasks] for job in jobs_of(ladder, lambda: 2)]
    assert bundles == [
        [(0, 0), (0, 2)], [(0, 1), (0, 3)], [(0, 4)], [(1, 0), (1, 2)], [(1, 1), (1, 3)], [(1, 4)]
    ]  # fmt: skip
    assert [len(job.tasks) for job in jobs_of(ladder, lambda: 9)] == [3, 2, 3, 2]


def test_the_size_of_a_bundle_may_change_on_the_way() -> None:
    """A server that turns out to give one sample is asked for one from then on."""
    size = 3
    bundles = jobs_of(tasks(3, 3), lambda: size)
    assert len(next(bundles).tasks) == 3
    size = 1
    assert all(len(job.tasks) == 1 for job in bundles)


async def test_who_has_no_room_finds_the_end_too_and_takes_no_job_along() -> None:
    """With the endpoint away nothing is taken: that nothing is left must show all the same, and what is left stays."""
    work = Work(jobs(2), most_pending=9)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(work.more)
            waiting = asyncio.ensure_future(work.more(room=False))
            await anyio.wait_all_tasks_blocked()
            assert not waiting.done()
            first, second = work.take(), work.take()
            assert first is not None
            assert second is not None
            assert [first.tasks[0].row.task_index, second.tasks[0].row.task_index] == [0, 1]
            work.end()
            work.end()
            assert not await work.more(room=False)
            assert not await waiting

"""Worker processes: those that hang, crash, are killed or lose their run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.verifiers.threads import OutOfTimeError
from collector.verifiers.workers.pool import WorkerLostError, WorkerPool

JOBS = Path(__file__).with_name("jobs.py")


@asynccontextmanager
async def workers(size: int = 1, *, job: Path = JOBS, patience: float | None = None) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(job, size=size, seconds=0.3, patience=patience)
    try:
        yield pool
    finally:
        await pool.close()


async def begin(pool: WorkerPool, mark: Path) -> asyncio.Task[dict[str, Any]]:
    """A request that sleeps for ever, once its worker is at it."""
    request = asyncio.create_task(pool.ask({"do": "sleep", "begun": str(mark)}))
    await asyncio.to_thread(wait_for, mark)
    return request


@pytest.mark.parametrize("hang", ["spin", "power"])
async def test_a_hang_costs_one_request_and_no_more(hang: str) -> None:
    """A request that never ends is stopped by the kernel, also inside one long instruction; the next is answered."""
    async with workers() as pool:
        before = (await pool.ask({"do": "pid"}))["pid"]
        with pytest.raises(OutOfTimeError, match=r"not done after 0\.3 seconds of CPU time"):
            await pool.ask({"do": hang})
        assert (await pool.ask({"do": "pid"}))["pid"] != before


async def test_many_hangs_and_answers_side_by_side() -> None:
    """Every request gets its own answer or its own failure, whichever hang beside it."""
    async with workers(2) as pool:
        asked = [pool.ask({"do": "spin"} if number % 4 == 0 else {"do": "say", "say": number}) for number in range(12)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 4 == 0:
            assert isinstance(answer, OutOfTimeError)
        else:
            assert isinstance(answer, dict)
            assert answer["said"] == number


async def test_a_worker_that_sleeps_for_ever_is_killed() -> None:
    """A worker that uses no CPU time and does not answer ends with the pool's patience."""
    async with workers(patience=0.5) as pool:
        with pytest.raises(OutOfTimeError, match=r"no answer in 0\.5 seconds"):
            await pool.ask({"do": "sleep"})


async def test_a_worker_killed_from_outside_is_replaced_unseen() -> None:
    """An idle worker that the system killed costs nothing; a request that kills two workers is a failure."""
    async with workers() as pool:
        pid = (await pool.ask({"do": "pid"}))["pid"]
        os.kill(pid, signal.SIGKILL)
        assert (await pool.ask({"do": "pid"}))["pid"] != pid
        with pytest.raises(WorkerLostError, match="two workers in a row were killed"):
            await pool.ask({"do": "die"})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
async def test_a_request_that_eats_memory_is_a_failure() -> None:
    """More memory than a worker may have ends that request, and says so."""
    async with workers() as pool:
        with pytest.raises(WorkerLostError, match="it takes more than 1024 MB of memory"):
            await pool.ask({"do": "eat"})


async def test_what_a_job_raises_or_prints_stays_with_it() -> None:
    """An exception is that request's failure, and the worker goes on; its prints are not taken for answers."""
    async with workers() as pool:
        with pytest.raises(WorkerLostError, match="ValueError: no such thing"):
            await pool.ask({"do": "raise"})
        assert (await pool.ask({"do": "print"}))["said"] is None
        odd = "\x00\ud800\n\u2028é"
        assert (await pool.ask({"do": "say", "say": odd}))["said"] == odd


async def test_a_job_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    """A worker whose libraries are broken is no hang: the cause is in the error."""
    (tmp_path / "job.py").write_text("import no_such_module_here\n")
    async with workers(job=tmp_path / "job.py") as pool:
        with pytest.raises(WorkerLostError, match="cannot start: ModuleNotFoundError: No module named"):
            await pool.ask({})


async def test_a_cancelled_request_costs_its_worker_alone(tmp_path: Path) -> None:
    """A request that nobody waits for is stopped, and its place is free again."""
    async with workers() as pool:
        hanging = await begin(pool, tmp_path / "begun")
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await pool.ask({"do": "say", "say": 1}))["said"] == 1


async def test_closing_ends_busy_workers(tmp_path: Path) -> None:
    """No worker outlives its pool, and whoever still waited is told."""
    async with workers() as pool:
        pid = (await pool.ask({"do": "pid"}))["pid"]
        hanging = await begin(pool, tmp_path / "begun")
    with pytest.raises(WorkerLostError, match="closed"):
        await hanging
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_workers_hold_no_key_and_miss_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's environment with its keys stays in the run, and a terminal's Ctrl-C goes to the run alone."""
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    async with workers() as pool:
        answer = await pool.ask({"do": "pid"})
    assert "OPENAI_API_KEY" not in answer["environment"]
    assert answer["session"] != os.getsid(0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of foreign processes")
def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the run its idle workers end at once, and a hanging one when its time is up."""
    script = Path(__file__).with_name("lonely_pool.py")
    root = str(Path(__file__).parents[2])
    run = subprocess.Popen(
        [sys.executable, script, tmp_path / "begun"], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": root}
    )
    assert run.stdout is not None
    pids = [int(pid) for pid in run.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(runs, pids))
    run.kill()
    run.communicate()
    while any(map(runs, pids)):  # for ever, when one stays: the test's own time limit ends it then
        time.sleep(0.02)


def wait_for(mark: Path) -> None:
    while not mark.exists():
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

"""A few worker processes that answer requests which may hang, eat memory or crash: such a worker is replaced.

Not `multiprocessing`: its workers run the caller's main module again, and a pool that loses one is broken. The
processes hold no key: their environment is what Python needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from collector.verifiers.threads import OutOfTimeError
from collector.verifiers.workers import worker as worker_module
from collector.verifiers.workers.worker import NO_MEMORY

__all__ = ["WorkerLostError", "WorkerPool", "usual_workers"]

_MEGABYTES = 1024
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG")
_LONGEST_ANSWER = 2**20


class WorkerLostError(Exception):
    """The worker ended before it answered, and not because its time was up."""


def usual_workers() -> int:
    """One for each core, at most four: generation needs cores too."""
    return min(4, os.cpu_count() or 1)


class WorkerPool:
    """At most `size` processes that do the job in `job_file`, started as they are needed. One event loop at a time.

    A request may use `seconds` of CPU time: a busy machine makes an answer late, not wrong. `patience`, in seconds of
    the clock, bounds a worker that neither works nor answers, its start included. Memory: 1 GiB each.
    """

    def __init__(self, job_file: Path, *, size: int, seconds: float, patience: float | None = None) -> None:
        self._command = (sys.executable, "-P", worker_module.__file__, str(job_file), repr(seconds), str(_MEGABYTES))
        self._seconds = seconds
        self._patience = 60 + 20 * seconds if patience is None else patience
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._closed = False

    async def warm(self) -> None:
        """Starts the first worker, and does not wait for it: it loads while the model writes."""
        self._idle.append(await self._start())

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The job's answer to `request`, which goes over as JSON.

        Raises OutOfTimeError when it takes too long, WorkerLostError when the worker crashes twice, and what a job
        raised as WorkerLostError too. A cancelled call costs its worker.
        """
        line = json.dumps(request).encode() + b"\n"
        async with self._slots:
            # A worker may have been killed from outside, by a full machine for one: a fresh one gets another chance.
            answer = await self._try(line)
            if answer is None:
                answer = await self._try(line)
        if answer is None:
            raise WorkerLostError("two workers in a row were killed")
        if "error" in answer:
            raise WorkerLostError(str(answer["error"]))
        return answer

    async def close(self) -> None:
        """Ends every worker, busy or not, and waits for that. A call that still waits raises WorkerLostError."""
        self._closed = True
        for worker in [*self._alive]:
            if worker in self._idle:
                await self._end(worker)
            else:
                await worker.kill()
        self._idle.clear()

    async def _try(self, line: bytes) -> dict[str, Any] | None:
        """The answer of one worker; None when it ended for no reason that the request gave. On errors it is killed."""
        worker = self._idle.pop() if self._idle else await self._start()
        try:
            async with asyncio.timeout(self._patience):
                answer = await worker.ask(line)
        except TimeoutError:
            await self._end(worker)
            raise OutOfTimeError(f"no answer in {self._patience:g} seconds") from None
        except BaseException:
            await self._end(worker)
            raise
        if answer is None:
            await self._bury(worker)
        else:
            self._idle.append(worker)
        return answer

    async def _bury(self, worker: _Worker) -> None:
        """Raises what the end of a worker means, where it means anything."""
        status = await self._end(worker, ended=True)
        if status == -signal.SIGPROF:
            raise OutOfTimeError(f"not done after {self._seconds:g} seconds of CPU time")
        if status == NO_MEMORY:
            raise WorkerLostError(f"it takes more than {_MEGABYTES} MB of memory")

    async def _start(self) -> _Worker:
        if self._closed:
            raise WorkerLostError("the workers are closed")
        # A session of its own: Ctrl-C lets a run finish what is in flight, and that needs the workers.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(),
            start_new_session=True,
            limit=_LONGEST_ANSWER,
        )
        worker = _Worker(process)
        self._alive.add(worker)
        return worker

    async def _end(self, worker: _Worker, *, ended: bool = False) -> int:
        """The exit status of the worker; it is killed unless it has `ended`."""
        self._alive.discard(worker)
        return await worker.end(kill=not ended)


class _Worker:
    """One process, and the two pipes to it."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise TypeError("a worker is a process with two pipes")
        self._process = process
        self._requests = process.stdin
        self._answers = process.stdout
        self._loaded = False

    async def ask(self, line: bytes) -> dict[str, Any] | None:
        """The answer, or None when the process ended first. Raises WorkerLostError when the job cannot be loaded."""
        try:
            if not self._loaded:
                ready = await self._read()
                if ready is None:
                    return None
                if "unusable" in ready:
                    raise WorkerLostError(f"the worker cannot start: {ready['unusable']}")
                self._loaded = True
            self._requests.write(line)
            await self._requests.drain()
            return await self._read()
        except ConnectionError:
            return None

    async def end(self, *, kill: bool) -> int:
        """Waits for the end of the process, which `kill` brings about, and closes the pipes. Its exit status."""
        if kill:
            await self.kill()
        with anyio.CancelScope(shield=True):
            self._requests.close()
            while await self._answers.read(_LONGEST_ANSWER):
                pass
            await self._process.wait()
            with contextlib.suppress(ConnectionError):
                await self._requests.wait_closed()
        return self._process.returncode or 0

    async def kill(self) -> None:
        """Ends the process at once, and waits for that. Whoever waits for its answer gets None."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # Process.kill would reap it beside asyncio's own watcher
        with anyio.CancelScope(shield=True):  # it is gone at once; left alone it would outlive the run
            await self._process.wait()

    async def _read(self) -> dict[str, Any] | None:
        line = await self._answers.readline()
        if not line.endswith(b"\n"):
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("PYTHON")}

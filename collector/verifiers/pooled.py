"""What the verifiers that judge in worker processes share: the pool's life, and what its errors mean for a reply."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from collector.errors import VerifierError
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, Task
from collector.verifiers.base import BaseVerifier
from collector.verifiers.spec import Parameters
from collector.verifiers.threads import OutOfTimeError
from collector.verifiers.workers.pool import WorkerLostError, WorkerPool, usual_workers

__all__ = ["POOL_PARAMETERS", "PooledVerifier", "pool_from"]

POOL_PARAMETERS = ("timeout", "workers")
_MOST_WORKERS = 256
_JOBS = Path(__file__).parent / "workers"


class PooledVerifier(BaseVerifier):
    """Its subclasses judge by what `pool` answers."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Self:
        await self._pool.warm()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.close()

    async def _ask(self, task: Task, request: JsonObject) -> dict[str, Any]:
        """The pool's answer. Raises VerifierError, for this reply alone, when there is none."""
        try:
            return await self._pool.ask(request)
        except OutOfTimeError as error:
            failure_class, why = "verifier_timeout", str(error)
        except WorkerLostError as error:
            failure_class, why = "verifier_crash", str(error)
        message = one_line(f"line {task.row.line}: the reply could not be judged: {why}")
        raise VerifierError(message, failure_class=failure_class)


def pool_from(given: Parameters, job: str) -> WorkerPool:
    """A pool for the job in `workers/`, with the `timeout` and `workers` of a specification."""
    return WorkerPool(
        _JOBS / job,
        size=given.count("workers", usual_workers(), most=_MOST_WORKERS),
        seconds=given.seconds("timeout", 5.0),
    )

"""The life of one worker process: loads a job, then answers one line of JSON with another until its input ends.

    python -P worker.py JOB.py SECONDS MEGABYTES

A request may use SECONDS of CPU time. Then the kernel ends the process, in whatever loop it is, and also when the run
that wanted the answer is gone. It is run as a file, so that it loads nothing of the project but the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["NO_MEMORY", "main"]

NO_MEMORY = 70
"""The exit status of a worker whose memory did not suffice."""

Job = Callable[[dict[str, Any]], dict[str, Any]]


def main(job_file: str, seconds: float, megabytes: int) -> int:
    """Answers requests until there is no more input. The first answer, `{}`, says that the job is loaded."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    _limit_memory(megabytes)
    try:
        job: Job = runpy.run_path(job_file)["answer"]
    except Exception as error:
        _write(answers, {"unusable": f"{type(error).__name__}: {error}"})
        return 1
    _write(answers, {})
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            answer = job(json.loads(line))
        except MemoryError:
            return NO_MEMORY
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:1000]}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(answers, answer)
    return 0


def _limit_memory(megabytes: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # macOS has the call and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))


def _write(answers: BinaryIO, answer: dict[str, Any]) -> None:
    left = memoryview(json.dumps(answer).encode() + b"\n")
    while left:
        left = left[answers.write(left) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))

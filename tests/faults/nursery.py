"""Starts real `pairmill` processes in milliseconds: it has imported all that the command needs, and forks.

Reads one JSON object a line from stdin and answers each with one on stdout: {"start": Order} gives the new process's
id, {"wait": pid} its exit status. A child is a process of its own, with its own files for output: what happens to it
happens to a real run. What differs from typing the command is that Python's start-up is paid once.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from collector.journal.disk import Disk
from collector.live import LiveObserver
from pairing.process import process

_NEEDED = (
    "anyio._backends._asyncio",
    "collector.collecting",
    "collector.interrupt",
    "collector.openfiles",
    "collector.summary",
    "encodings.idna",
    "importlib.metadata",
    "multiprocessing.synchronize",
    "pairing.cli",
    "pairing.run",
    "tests.model_server",
    "urllib.request",
)
"""What the command would import late: read once here, and there for a child that may not read Python's own files."""


def main() -> None:
    for name in _NEEDED:
        importlib.import_module(name)
    try:
        importlib.import_module("uvloop")
    except ImportError:
        pass  # an extra
    gc.freeze()  # children share these pages as long as nobody collects them
    for line in sys.stdin:
        order = json.loads(line)
        answer = _start(order["start"]) if "start" in order else _wait(order["wait"])
        print(json.dumps(answer), flush=True)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _start(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            _become(order)
            status = process()
            sys.stdout.flush()
            sys.stderr.flush()
        except KeyboardInterrupt:  # before the command began
            status = 130
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def _become(order: dict[str, Any]) -> None:
    for number, path, flags in (
        (0, "/dev/null", os.O_RDONLY),
        (1, order["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, order["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        fd = os.open(path, flags, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    os.closerange(3, 256)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    sys.argv = ["pairmill", *order["words"]]
    if order["report"]:
        _report_to(order["report"])
    if order["fault"]:
        _fail_in_call(*order["fault"])
    if order["file_size"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
    if order["uid"]:
        os.setgroups([])
        os.setgid(order["uid"])
        os.setuid(order["uid"])


def _report_to(path: str) -> None:
    """One line for each rollout that the bar has counted, naming the server's reply; `seal` when they are all in."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    counted, ended = LiveObserver.rollout, LiveObserver.ended

    def rollout(self: LiveObserver, *told: Any) -> None:
        counted(self, *told)
        task, reply = told[:2]
        name = json.loads(reply.raw).get("id", "-")
        os.write(fd, f"{task.row.task_index} {task.rollout_index} {name}\n".encode())

    def over(self: LiveObserver) -> None:
        ended(self)
        os.write(fd, b"seal\n")

    LiveObserver.rollout, LiveObserver.ended = rollout, over  # type: ignore[method-assign, assignment]


def _fail_in_call(kind: str, nth: int, code: int, report: str) -> None:
    """The nth call that changes the disk, or the nth of one `kind`, fails with the error `code`; `report` gets a line
    then. Code 0 is SIGKILL: before the call, after it, or with a part of a write done. Until then every other write
    comes up short."""
    calls = 0
    rng = random.Random(nth)

    def faulty(name: str) -> None:
        real = getattr(Disk, name)

        def call(self: Disk, *given: Any) -> Any:
            nonlocal calls
            calls += kind in ("any", name)
            now = calls == nth and kind in ("any", name)
            if now and code:
                calls += 1  # once
                Path(report).write_text(f"{name}\n")
                raise OSError(code, os.strerror(code))
            if now and name != "write" and rng.random() < 0.5:
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "write" and (now or calls % 2):
                fd, data, offset = given
                given = fd, data[: rng.randint(1, len(data))], offset
            result = real(self, *given)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(Disk, name, call)

    for name in (
        "open",
        "write",
        "sync",
        "truncate",
        "replace",
        "unlink",
        "link",
        "make_folder",
        "remove_folder",
        "sync_folder",
    ):
        faulty(name)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()

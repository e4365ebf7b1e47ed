"""Kills `pairmill collect` again and again, and looks for what it had acknowledged: `scripts/torture`.

Each round is the real command in a process of its own, against a real server, killed with SIGKILL: while it opens or
resumes, after some acknowledgements, inside the Nth call that changes the disk (writes come up short, so lines are
torn), or while it seals. Acknowledged is what the progress bar has counted. Each reply of the server has a number of
its own, so that the row found at the end can be told from one asked for again. One prompt in ten, and one
rollout in nine of the others, fail until an output's last run, so that seals set groups aside and resumes take them
back. Not covered here: power loss.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response

from collector.journal import StreamPaths, read_run_file
from tests.faults.commands import Commands, Done, Running, commands
from tests.model_server import ModelServer

__all__ = ["LossError", "Tally", "torture"]

Key = tuple[int, int]

_TASKS, _REPEATS = 90, 3
_RUNS_PER_OUTPUT = 10
_KINDS = ("opening", "writing", "disk call", "torn write", "sealing")
_CALLS = {"disk call": "any", "torn write": "write"}


class LossError(AssertionError):
    """The promise was broken: what was lost, doubled or left behind."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """When to kill: `wait` seconds after the start, after `count` acknowledgements, or after the seal began; or inside
    the `count`th disk call, or the `count`th write."""

    kind: str
    count: int = 0
    wait: float = 0.0

    @classmethod
    def drawn(cls, rng: random.Random) -> _Plan:
        kind = rng.choice(_KINDS)
        if kind == "opening":
            return cls(kind, wait=rng.uniform(0, 0.08))
        if kind == "writing":
            return cls(kind, rng.randint(1, 40), rng.uniform(0, 0.003))
        if kind == "disk call":
            return cls(kind, rng.randint(1, 90))
        if kind == "torn write":
            return cls(kind, rng.randint(2, 14))
        return cls(kind, wait=rng.uniform(0, 0.006))


@dataclass(slots=True)
class Tally:
    """What a torture came to. `kills` by kind; `completed` runs that ended before their kill; `acknowledged` maps a key
    of the present output to the reply that was acknowledged for it."""

    rounds: int = 0
    outputs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    completed: int = 0
    torn: int = 0
    acknowledgements: int = 0
    acknowledged: dict[Key, str] = field(default_factory=dict)


class _MoodyServer(ModelServer):
    """Refuses one rollout in nine, always the same ones, while `always_fail` says so: most groups stay incomplete."""

    def _answer(self, body: dict[str, Any], prompt: str, number: int) -> Response:
        if self.always_fail and body["seed"] % 9 == 0:
            return Response(b'{"error": {"message": "not this one"}}', 400)
        return super()._answer(body, prompt, number)


class _Torture:
    def __init__(self, folder: Path, server: ModelServer, pairmill: Commands, rng: random.Random) -> None:
        self.folder = folder
        self.server = server
        self.pairmill = pairmill
        self.rng = rng
        self.tally = Tally()
        self.input = folder / "prompts.jsonl"
        self.input.write_bytes(b"".join(b'{"prompt":"question %d."}\n' % task for task in range(_TASKS)))
        self.paths = StreamPaths.for_output(folder / "none")

    def output(self, runs: int) -> None:
        """One output: so many runs to be killed, then one that is left alone and must complete it."""
        self.paths = StreamPaths.for_output(self.folder / str(self.tally.outputs) / "rollouts.jsonl")
        self.tally.acknowledged = {}
        self.server.always_fail = "3."
        for _ in range(runs):
            self._round(_Plan.drawn(self.rng))
            self._check_between()
        self.server.always_fail = ""
        last = self._start(None)
        done = last.wait()
        self._take(last)
        self._check_end(done)
        self.tally.outputs += 1
        shutil.rmtree(self.paths.rollouts.parent)

    def _start(self, fault: tuple[str, int, int] | None) -> Running:
        low = self.rng.choice((0.0, 0.0, 0.002))
        self.server.latency = (low, 3 * low)
        return self.pairmill.start(
            "collect", "--input", self.input, "--output", self.paths.rollouts, "--base-url", self.server.url,
            "--verifier", "python:tests.model_server:score", "--num-repeats", str(_REPEATS),
            "--num-samples-in-parallel", "8", "--resume", fault=fault,
        )  # fmt: skip

    def _round(self, plan: _Plan) -> None:
        inside = _CALLS.get(plan.kind)
        run = self._start((inside, plan.count, 0) if inside else None)
        if plan.kind == "writing":
            run.until(lambda: len(run.reports()) >= plan.count)
        elif plan.kind == "sealing":
            run.until(lambda: "seal" in run.reports())
        if not inside:
            time.sleep(plan.wait)
            run.signal(signal.SIGKILL)
        done = run.wait()
        self._take(run)
        self.tally.rounds += 1
        if done.code == -signal.SIGKILL:
            self.tally.kills["sealing" if "seal" in run.reports() else plan.kind] += 1
        elif done.code in (0, 3):
            self.tally.completed += 1
        else:
            raise LossError(f"round {self.tally.rounds} ({plan}) ended with {done.code}: {done.err[-500:]}")

    def _take(self, run: Running) -> None:
        for key, reply in run.acknowledged().items():
            if key in self.tally.acknowledged:
                raise LossError(f"{key} was acknowledged, and made again in round {self.tally.rounds}")
            self.tally.acknowledged[key] = reply
            self.tally.acknowledgements += 1

    def _check_between(self) -> None:
        """After a kill: each acknowledged row stands, whole, in the journal or beside it."""
        found: dict[Key, set[str]] = {}
        for path in (self.paths.rollouts, self.paths.incomplete):
            content = path.read_bytes() if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            self.tally.torn += len(whole) < len(content)
            for line in whole.splitlines():
                key, reply = _key_and_reply(line)
                found.setdefault(key, set()).add(reply)
        for key, reply in self.tally.acknowledged.items():
            if reply not in found.get(key, ()):
                raise LossError(f"{key} ({reply}) was acknowledged, and is lost after round {self.tally.rounds}")

    def _check_end(self, done: Done) -> None:
        """After a run left alone: every row once, in order, the very ones that were acknowledged, and no scratch."""
        if done.code != 0:
            raise LossError(f"the last run of output {self.tally.outputs} ended with {done.code}: {done.err[-500:]}")
        rows = [_key_and_reply(line) for line in self.paths.rollouts.read_bytes().splitlines()]
        if [key for key, _ in rows] != [(task, repeat) for task in range(_TASKS) for repeat in range(_REPEATS)]:
            raise LossError(f"the sealed file is not each rollout once, in order: {[key for key, _ in rows]}")
        for key, reply in rows:
            known = self.tally.acknowledged.get(key, reply)  # a row may be durable before its kill let anyone know
            if known != reply:
                raise LossError(f"{key} is {reply}, but {known} was acknowledged")
        run = read_run_file(self.paths.run)
        if run is None or run.state != "finished":
            raise LossError(f"the run file does not say that the run has finished: {run}")
        left = {path.name for path in self.paths.rollouts.parent.iterdir()} - {self.paths.failures.name}
        if left != {self.paths.rollouts.name, self.paths.run.name}:
            raise LossError(f"left behind: {left}")


def torture(folder: Path, kills: int, seed: int, *, progress: bool = False) -> Tally:
    """Kills at least `kills` runs, over as many outputs in `folder` as that takes. Raises LossError at the first broken
    promise; the files of that output are still there then."""
    server = _MoodyServer()
    with server.serving(), commands(folder / "commands") as pairmill:
        work = _Torture(folder, server, pairmill, random.Random(seed))
        while (left := kills - work.tally.kills.total()) > 0:
            work.output(min(_RUNS_PER_OUTPUT, left))
            if progress:
                print(f"{work.tally.kills.total()} of {kills} killed, nothing lost", file=sys.stderr)
    return work.tally


def _key_and_reply(line: bytes) -> tuple[Key, str]:
    row = orjson.loads(line)
    return (row["_ng_task_index"], row["_ng_rollout_index"]), row["response"]["id"]


def main() -> int:
    """Ends with one line of JSON on stdout; exit code 1 on a loss, whose files are kept."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description="Kills runs, and looks for what was lost.")
    parser.add_argument("--rounds", type=int, default=1000, metavar="N", help="runs to kill (default 1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the kills' moments (default 0)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pairmill-torture-"))
    began = time.monotonic()
    try:
        tally = torture(folder, options.rounds, options.seed, progress=True)
    except LossError as loss:
        print(json.dumps({"lost": True, "problem": str(loss), "seed": options.seed, "files": str(folder)}))
        return 1
    shutil.rmtree(folder)
    summary = {
        "rounds": tally.rounds,
        "killed": tally.kills.total(),
        **{f"killed_{kind.replace(' ', '_')}": tally.kills[kind] for kind in _KINDS},
        "completed_before_the_kill": tally.completed,
        "torn_files": tally.torn,
        "outputs": tally.outputs,
        "acknowledged": tally.acknowledgements,
        "lost": 0,
        "doubled": 0,
        "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Starts one idle and one hanging worker, prints their process ids, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from collector.verifiers.workers.pool import WorkerPool


async def main() -> None:
    pools = [WorkerPool(Path(__file__).with_name("jobs.py"), size=1, seconds=1) for _ in range(2)]
    pids = [(await pool.ask({"do": "pid"}))["pid"] for pool in pools]
    hanging = asyncio.create_task(pools[0].ask({"do": "spin", "begun": sys.argv[1]}))
    await asyncio.to_thread(wait_for, Path(sys.argv[1]))
    print(*pids, flush=True)
    await asyncio.Event().wait()
    await hanging


def wait_for(mark: Path) -> None:
    while not mark.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main())

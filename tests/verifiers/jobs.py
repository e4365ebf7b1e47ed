"""A job for worker processes that does what it is told: answer, hang, sleep, crash, or eat memory."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def answer(request: dict[str, Any]) -> dict[str, Any]:
    do = request["do"]
    if "begun" in request:
        Path(request["begun"]).touch()
    if do == "spin":
        while True:
            pass
    if do == "power":
        return {"digits": 9**9**9**9}  # one instruction that no Python signal handler can interrupt
    if do == "sleep":
        time.sleep(1e6)
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "eat":
        return {"bytes": len(bytearray(2**34))}
    if do == "raise":
        raise ValueError("no such thing")
    if do == "print":
        print("a library's own words")
        os.write(1, b"and more\n")
    return {"pid": os.getpid(), "session": os.getsid(0), "environment": sorted(os.environ), "said": request.get("say")}

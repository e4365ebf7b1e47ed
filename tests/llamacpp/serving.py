"""llama.cpp's own server on the embedded model's checkpoint, in a process of its own that ends with the block."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.embedded import DEFAULT_MODEL_DIR

__all__ = ["llamacpp_server"]

SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = 256 * 32
params.n_parallel = 32
params.cpuparams.n_threads = 1
params.warmup = False
params.endpoint_metrics = True
params.model_alias = {"pairmill-demo"}
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def llamacpp_server(folder: Path) -> Iterator[str]:
    """The base URL of a server with 32 slots, on a free loopback port; its model and its log lie in `folder`."""
    from tests.llamacpp.gguf_export import write_gguf

    model = write_gguf(DEFAULT_MODEL_DIR, folder / "model.gguf")
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        try:
            assert address.startswith("http"), (folder / "server.log").read_text()[-2000:]
            yield f"{address}/v1"
        finally:
            process.kill()
            process.communicate()

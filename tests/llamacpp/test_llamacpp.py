"""The main job against llama.cpp's own server on the embedded model's checkpoint: opt in with scripts/test-llamacpp."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

pytestmark = [pytest.mark.llamacpp, pytest.mark.timeout(600)]
pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def llamacpp_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp's server, in a process of its own, on a free loopback port."""
    from tests.llamacpp.serving import llamacpp_server

    with llamacpp_server(tmp_path_factory.mktemp("llamacpp")) as url:
        yield url


def test_the_same_checkpoint_answers_the_same(llamacpp_url: str) -> None:
    """Greedy, llama.cpp's text equals the embedded server's for nearly every prompt: the export is right."""
    import anyio

    from collector.embedded.process import EmbeddedServer
    from collector.embedded.tasks import prompt_rows

    rows = [orjson.loads(line) for line in prompt_rows("heldout").read_bytes().splitlines()[:40]]

    def greedy(url: str, row: dict[str, dict[str, object]]) -> str:
        body = {"messages": row["responses_create_params"]["input"], "temperature": 0, "max_tokens": 80}
        reply = httpx.post(f"{url}/chat/completions", json=body, timeout=60, trust_env=False)
        return str(reply.json()["choices"][0]["message"]["content"])

    async def embedded_texts() -> list[str]:
        async with EmbeddedServer() as server:
            return [await anyio.to_thread.run_sync(greedy, server.base_url, row) for row in rows]

    ours = anyio.run(embedded_texts)
    theirs = [greedy(llamacpp_url, row) for row in rows]
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    assert same >= 36, [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b][:3]


@pytest.mark.parametrize("protocol", ["chat", "responses", "completions"])
def test_pairs_come_from_llamacpp(llamacpp_url: str, tmp_path: Path, protocol: str) -> None:
    """`pairmill run --base-url` gives pairs; llama.cpp's default sampler is switched off by what the README says."""
    command = [
        sys.executable, "-m", "pairing.cli", "run", "--output-dir", str(tmp_path), "--base-url", llamacpp_url,
        "--protocol", protocol, "--limit", "100", "--temperature", "0.8", "--top-k", "0", "--min-p", "0",
        "--max-output-tokens", "96",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"}, timeout=300)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    pairs = [orjson.loads(line) for line in (tmp_path / "pairs.jsonl").read_bytes().splitlines()]
    assert len(pairs) > 50
    assert all(pair["chosen"] != pair["rejected"] for pair in pairs)


def test_a_sweep_of_llamacpp(llamacpp_url: str, tmp_path: Path) -> None:
    """`pairmill bench` holds every level, reads the server's metrics and recommends one."""
    command = [
        sys.executable, "-m", "pairing.cli", "bench", "--output-dir", str(tmp_path / "b"), "--base-url", llamacpp_url,
        "--levels", "1,8,32", "--passes", "1", "--level-seconds", "1", "--temperature", "0.8", "--top-k", "0",
        "--min-p", "0", "--max-output-tokens", "96",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("--num-samples-in-parallel ")
    levels = orjson.loads((tmp_path / "b" / "summary.json").read_bytes())["levels"]
    assert [level["in_flight_max"] for level in levels] == [1, 8, 32]
    assert all(level["pairs"] and level["running"] is not None for level in levels)

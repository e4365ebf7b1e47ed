"""What is found out before a run touches its output: here, a verifier's server that is not there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from collector.collecting import collect
from collector.errors import ServerError
from collector.observer import SilentObserver
from collector.reverify import reverify
from collector.settings import CollectSettings
from tests.model_server import ModelServer
from tests.runs import prompts, settings


def nobody() -> str:
    """A URL of this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


class Announced(SilentObserver):
    """An observer that knows whether a run was announced."""

    found_any = False

    def found(self, settings: CollectSettings, rows: int, tasks: int) -> None:
        self.found_any = True


SPECS = {
    "judge": "judge:url={}/v1",
    "reward_model": "reward_model:url={}",
    "http": "http:{}",
    "a part of a mix": "0.5*judge:url={}/v1",
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
async def test_a_verifier_that_is_not_there_is_found_before_the_output_is_touched(tmp_path: Path, spec: str) -> None:
    """One line names it; nothing is asked of the model, no file of the output begins, and no rollout is announced."""
    prompts(tmp_path / "in.jsonl", 3)
    server, watching = ModelServer(), Announced()
    with server.serving():
        given = settings(tmp_path, server, verifier=spec.format(nobody()))
        with pytest.raises(ServerError, match=r"--verifier .*cannot connect"):
            await collect(given, observer=watching)
    assert server.requests == 0
    assert not given.output.parent.exists()
    assert not watching.found_any


async def test_scoring_again_with_a_judge_that_is_not_there_leaves_no_output(tmp_path: Path) -> None:
    """--reverify finds it as early: no file of the new output begins."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer()
    with server.serving():
        first = await collect(settings(tmp_path, server))
    again = CollectSettings(
        input=first.paths.rollouts,
        output=tmp_path / "again" / "rollouts.jsonl",
        base_url="http://127.0.0.1",
        verifier=f"judge:url={nobody()}/v1",
    )
    with pytest.raises(ServerError, match="--verifier judge: .*cannot connect"):
        await reverify(again)
    assert not again.output.parent.exists()

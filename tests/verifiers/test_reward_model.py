"""`reward_model`: the shapes of vLLM's and SGLang's servers, and which of their numbers is the reward."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.errors import ServerError, VerifierError, VerifierSetupError
from collector.records.rows import Task, Verdict
from collector.verifiers.conversation import conversation
from tests.verifiers.make import build, judge, make_reply, make_row, make_task
from tests.verifiers.model_server import ScoringServer


@pytest.fixture
def server() -> Iterator[ScoringServer]:
    with ScoringServer(models=("rm",)).serving() as server:
        yield server


async def score(server: ScoringServer, more: str = "", text: str = "an answer", **fields: Any) -> Verdict:
    return await judge(f"reward_model:url={server.url}" + (f",{more}" if more else ""), fields, text)


async def test_classify_sends_the_conversation(server: ScoringServer) -> None:
    """The default: messages that the server renders, its one number the reward, its label a field."""
    verdict = await score(server)
    assert verdict == Verdict(0.75, {}, {"reward_label": "LABEL_0"})
    assert server.bodies[-1] == {
        "model": "rm",
        "messages": [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "an answer"}],
    }


async def test_a_url_with_v1_is_the_same_server(server: ScoringServer) -> None:
    """These routes stand beside /v1, and users copy the URL that they know."""
    assert (await judge(f"reward_model:url={server.url}/v1/", {}, "a")).reward == 0.75


async def test_one_of_several_outputs(server: ScoringServer) -> None:
    """Several classes need index=; none is guessed."""
    server.outputs = [-1.5, 2.5]
    assert (await score(server, "index=1")).reward == 2.5
    assert (await score(server, "index=0")).reward == -1.5
    for more, message in (("", "has 2 outputs: say which is the reward with index="), ("index=2", "counted from 0")):
        with pytest.raises(VerifierError, match=message) as raised:
            await score(server, more)
        assert raised.value.failure_class == "bad_reward"


async def test_the_activation_is_the_servers_unless_said(server: ScoringServer) -> None:
    """yes and no are sent as `use_activation`; without them the server decides."""
    for more, sent in (("", None), ("activation=no", False), ("activation=yes", True), ("activation=server", None)):
        await score(server, more)
        assert server.bodies[-1].get("use_activation") is sent


async def test_a_sigmoid_of_our_own(server: ScoringServer) -> None:
    """scale=sigmoid presses any number into 0 .. 1 and keeps what it was; no number is too great for it."""
    for output, wanted in ((0.0, 0.5), (2.0, 1 / (1 + math.exp(-2))), (-1e4, 0.0), (1e308, 1.0)):
        server.outputs = [output]
        verdict = await score(server, "scale=sigmoid")
        assert verdict.reward == pytest.approx(wanted)
        assert verdict.components == {"score": output}


async def test_score_sends_a_pair(server: ScoringServer) -> None:
    """/score is given the prompt's text and the answer's."""
    assert (await score(server, "api=score")).reward == 0.75
    assert server.bodies[-1] == {"model": "rm", "text_1": "ask", "text_2": "an answer"}


@pytest.mark.parametrize(
    ("outputs", "more", "wanted"),
    [
        ([[0.1], [0.2], [0.9]], "", 0.9),
        ([[0.1], [0.2], [0.9]], "join=min", 0.1),
        ([[0.1], [0.2], [0.9]], "join=mean", 0.4),
        ([[0.5], [0.5], [0.5]], "join=product", 0.125),
        ([[0.9, 0.1], [0.2, 0.8]], "index=1", 0.8),
        ([0.7], "", 0.7),
        ([0.1, 0.7], "index=1", 0.7),
    ],
)
async def test_pooling_joins_its_vectors(server: ScoringServer, outputs: Any, more: str, wanted: float) -> None:
    """One vector, or one for each token or step: the last, the least, the mean or the product of one column."""
    server.outputs = outputs
    assert (await score(server, f"api=pooling{',' if more else ''}{more}")).reward == pytest.approx(wanted)
    assert server.bodies[-1]["encoding_format"] == "float"


async def test_sglang_takes_a_text(server: ScoringServer, tmp_path: Path) -> None:
    """Its native /classify renders no chat template: the user's file does, with the row's fields."""
    path = tmp_path / "chat.txt"
    path.write_text("<|user|>{topic}: {prompt}<|assistant|>{answer}", encoding="utf-8")
    server.native = True
    assert (await score(server, f"api=sglang,template={path}", "{topic} <|user|>", topic="t")).reward == 0.75
    assert server.bodies[-1] == {"model": "rm", "text": "<|user|>t: ask<|assistant|>{topic} <\u2060|user|>"}
    with pytest.raises(VerifierSetupError, match="renders no chat template: give a file that does"):
        build("reward_model:url=http://h,api=sglang")


async def test_a_template_takes_the_place_of_the_messages(server: ScoringServer, tmp_path: Path) -> None:
    """`input` instead of `messages`, for models without a chat template; missing fields are said before the run."""
    path = tmp_path / "t.txt"
    path.write_text("{gold} {answer}", encoding="utf-8")
    await score(server, f"template={path}", gold=3)
    assert server.bodies[-1] == {"model": "rm", "input": "3 an answer"}
    verifier = build(f"reward_model:url=http://h,template={path}")
    assert verifier.check(make_row({"gold": 1})) is None
    assert "'gold'" in str(verifier.check(make_row({})))
    assert verifier.code_digest is not None


async def test_agents_turns_are_sent_whole(server: ScoringServer) -> None:
    """Tool calls and results stay in the conversation; reasoning and unknown keys do not, and markup is broken."""
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    output: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "hm", "items": [1]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": "", "refusal": "<|im_end|> no"},
        {"role": "assistant", "content": [{"type": "text", "text": "</s>x"}, {"type": "image_url", "image_url": {}}]},
    ]
    task = Task(replace(make_row({}), messages=[{"role": "user", "content": "q", "extra": None}]), 0, {}, None)
    async with build(f"reward_model:url={server.url}") as verifier:
        await verifier.verify(task, make_reply("x", output=output))
    assert server.bodies[-1]["messages"] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": "<\u2060|im_end|> no"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "<\u2060/s>x"}, {"type": "image_url", "image_url": {}}],
        },
    ]


@pytest.mark.parametrize("api", ["classify", "score", "pooling"])
@pytest.mark.parametrize("output", [None, True, "0.5", [], {}])
async def test_only_a_finite_number_is_a_reward(server: ScoringServer, api: str, output: Any) -> None:
    """null (a NaN in JSON), booleans and texts are failures, never rewards."""
    server.outputs = [output]
    with pytest.raises(VerifierError) as raised:
        await score(server, f"api={api}")
    assert raised.value.failure_class == "bad_reward"


async def test_a_product_beyond_all_floats_is_no_reward(server: ScoringServer) -> None:
    """The check stands after the joining too."""
    server.outputs = [[1e300], [1e300]]
    with pytest.raises(VerifierError, match="the joined reward is inf"):
        await score(server, "api=pooling,join=product")


async def test_a_mean_beyond_all_floats_is_no_reward(server: ScoringServer) -> None:
    """Numbers too great to be added end one verdict, not the run."""
    server.outputs = [[1e308], [1.7e308]]
    with pytest.raises(VerifierError, match="the joined reward is inf"):
        await score(server, "api=pooling,join=mean")


def test_no_text_of_an_answer_passes_for_a_turn() -> None:
    """Markup is broken wherever a chat template may render it: arguments of calls, results of tools, bare parts."""
    mark = "<|im_start|>user"
    call = {"id": "c", "type": "function", "function": {"name": mark, "arguments": mark}}
    output: list[dict[str, Any]] = [
        {"role": "assistant", "content": [mark, {"type": "text", "text": mark}, 5], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": {"result": mark}, "name": mark},
    ]
    sent = conversation(make_task({}), make_reply("", output=output))
    assert mark not in str(sent)
    assert sent[2]["content"] == {"result": "<\u2060|im_start|>user"}
    assert mark in str(output)


async def test_what_the_server_refuses_is_told(server: ScoringServer) -> None:
    """vLLM's own message comes through, with the class of its status."""
    async with build(f"reward_model:url={server.url}") as verifier:
        with pytest.raises(VerifierError, match="HTTP 400: a message lacks a part") as raised:
            await verifier.verify(make_task({}), make_reply("", output=[{"content": "x"}]))
    assert raised.value.failure_class == "verifier_http_400"


async def test_a_server_that_is_not_there(server: ScoringServer) -> None:
    """Said at the start, with the model that is missing."""
    with pytest.raises(ServerError, match=r"--verifier reward_model: model=x is not served at .*; it has: rm"):
        await score(server, "model=x")
    server.take_down()


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", "give the server's URL"),
        ("url=http://h,api=rank", "api=rank: give one of classify, score, pooling, sglang"),
        ("url=http://h,api=score,template=x", "leave it out"),
        ("url=http://h,api=sglang,activation=no", "no such switch"),
        ("url=http://h,join=sum", "give one of last, min, mean, product"),
        ("url=http://h,index=1.5", "give a whole number"),
        ("url=http://h,scale=2", "give one of none, sigmoid"),
    ],
)
def test_what_cannot_be_built_says_why(rest: str, message: str) -> None:
    """One line that names the parameter and what it takes."""
    with pytest.raises(VerifierSetupError, match=message):
        build(f"reward_model:{rest}" if rest else "reward_model")


def test_tasks_are_not_changed() -> None:
    """Breaking markup makes copies: the row on disk keeps the answer as it came."""
    reply = make_reply("<|im_end|>")
    conversation(make_task({}), reply)
    assert reply.output == [{"role": "assistant", "content": "<|im_end|>"}]

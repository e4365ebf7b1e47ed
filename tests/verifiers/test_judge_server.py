"""`judge`: its server: parallelism, keys, models, faults, and a server that goes."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from collector.errors import VERIFIER_CONNECT, ServerError, VerifierError, VerifierSetupError
from collector.verifiers import build_verifier
from tests.verifiers.judged import score, spec
from tests.verifiers.make import SETTINGS, build, judge, make_reply, make_task
from tests.verifiers.model_server import ScoringServer, always


async def test_judgements_that_are_there_are_not_asked_for_again(server: ScoringServer) -> None:
    """A verdict tried again after a busy server asks for what is missing; failed tries and tokens stay counted."""
    server.say = lambda body, number: (503, b"busy") if number in (1, 4) else "hm" if number == 0 else "Score: 4"
    async with build(spec(server, "samples=3,tries=2")) as verifier:
        task, reply = make_task({}), make_reply("an answer")
        while True:
            try:
                verdict = await verifier.verify(task, reply)
                break
            except VerifierError as error:
                assert error.retryable
    assert verdict.components["score"] == 4.0
    assert len(server.bodies) == 3 + 1 + 2  # the three, one without a score, two that were busy
    assert verdict.fields["judge_usage"]["total_tokens"] == 4 * 120


async def test_a_url_without_v1_is_found_out(server: ScoringServer) -> None:
    """The advice for a server that lists no models is to look at its URL before anything else."""
    with pytest.raises(
        ServerError, match=r"lists no models: see its URL \(it ends with /v1\), or name one with model="
    ):
        await judge(f"judge:url={server.url}", {}, "x")


async def test_the_judge_has_a_parallelism_of_its_own(server: ScoringServer) -> None:
    """40 replies at once and parallel=5: five requests are in flight together, never six."""
    server.hold = 5
    async with build(spec(server, "parallel=5")) as verifier:
        verdicts = await asyncio.gather(*[verifier.verify(make_task({}), make_reply("a")) for _ in range(40)])
    assert len(verdicts) == 40
    assert server.high_water == 5


async def test_keys_go_where_they_belong(server: ScoringServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge's key comes from its own variable; the model's key and headers are not sent; an echoed key is blacked
    out of the row and of every message."""
    monkeypatch.setenv("JUDGE_KEY", "sk-judge-canary")
    server.api_key = "sk-judge-canary"
    server.say = always("I was asked with sk-judge-canary\nScore: 3")
    run = replace(SETTINGS, api_key="sk-model-canary", headers={"x-tenant": "tenant-canary"})
    async with build_verifier(spec(server, "api_key_env=JUDGE_KEY"), settings=run) as verifier:
        verdict = await verifier.verify(make_task({}), make_reply("a"))
    assert server.headers[-1]["authorization"] == "Bearer sk-judge-canary"
    assert "model-canary" not in str(server.headers) and "tenant-canary" not in str(server.headers)
    assert verdict.fields["judge"] == "I was asked with [redacted]\nScore: 3"
    server.say = lambda body, number: (400, b'{"error": {"message": "bad key sk-judge-canary"}}')
    async with build_verifier(spec(server, "api_key_env=JUDGE_KEY"), settings=run) as verifier:
        with pytest.raises(VerifierError, match=r"bad key \[redacted\]") as raised:
            await verifier.verify(make_task({}), make_reply("a"))
    assert raised.value.failure_class == "verifier_http_400"
    monkeypatch.setenv("JUDGE_KEY", "sk-wrong-canary")
    with pytest.raises(ServerError, match="the key in JUDGE_KEY was refused") as refused:
        await score(server, "api_key_env=JUDGE_KEY")
    assert "canary" not in str(refused.value)
    with pytest.raises(ServerError, match="give its key with api_key_env=NAME"):
        await score(server)


async def test_a_judge_that_is_not_there_ends_the_run_at_once() -> None:
    """Better now than after a night of replies."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ServerError, match=rf"^--verifier judge: http://127.0.0.1:{port}/v1: cannot connect"):
        await judge(f"judge:url=http://127.0.0.1:{port}/v1", {}, "a")


async def test_a_judge_that_dies_is_gone_not_wrong(server: ScoringServer) -> None:
    """A lost server gives the class by which a run knows that its verifier is gone, and may be tried again."""
    async with build(spec(server)) as verifier:
        assert (await verifier.verify(make_task({}), make_reply("a"))).reward > 0
        server.take_down()
        last: VerifierError | None = None
        while last is None or last.failure_class != VERIFIER_CONNECT:  # it takes the server a moment to go
            try:
                await verifier.verify(make_task({}), make_reply("a"))
            except VerifierError as error:
                last = error
    assert last.retryable


@pytest.mark.parametrize(
    ("answer", "failure_class", "retryable"),
    [
        ((503, b"busy"), "verifier_http_503", True),
        ((429, b""), "verifier_http_429", True),
        ((400, b'{"error": {"message": "context length"}}'), "verifier_http_400", False),
        ((200, b"<html>gateway</html>"), "verifier_bad_reply", True),
        ((200, b'{"choices": []}'), "verifier_bad_reply", True),
    ],
)
async def test_faults_of_the_judges_server(
    server: ScoringServer, answer: tuple[int, bytes], failure_class: str, retryable: bool
) -> None:
    """Each is a failure of the verifier with its own class; those that may pass are tried again."""
    server.say = lambda body, number: answer
    with pytest.raises(VerifierError) as raised:
        await score(server)
    assert (raised.value.failure_class, raised.value.retryable) == (failure_class, retryable)


async def test_a_judge_that_never_answers_is_out_of_time(server: ScoringServer) -> None:
    """timeout= bounds one judgement, and the message names that parameter, not the model's flag."""
    server.hold = 2
    with pytest.raises(VerifierError, match=r"no whole reply within 0.2 s \(timeout=\)") as raised:
        await score(server, "timeout=0.2")
    assert raised.value.failure_class == "verifier_timeout"


async def test_which_model_judges(server: ScoringServer) -> None:
    """The one that is named, or the only one; what does not fit is said with what there is."""
    server.models = ("a", "b")
    with pytest.raises(ServerError, match=r"has several models, or none: name one with model= \(a, b\)"):
        await score(server)
    with pytest.raises(ServerError, match=r"model=c is not served at .*; it has: a, b"):
        await score(server, "model=c")
    await score(server, "model=b")
    assert server.bodies[-1]["model"] == "b"


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", "url=: give the server's URL, as in judge:url=http://127.0.0.1:8001/v1"),
        ("url=ftp://x", "url=ftp://x: give the server's URL"),
        ("url=http://u:secret@h/v1", "the URL holds a user or password"),
        ("url=http://h,api_key_env=NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE: there is no such environment variable"),
        ("url=http://h,min=5,max=5", r"max=5: give a number greater than min \(5\)"),
        ("url=http://h,max=inf", "max=inf: give a number"),
        ("url=http://h,min=-1e308", "min=-1e308: give a number from -1000000000 to 1000000000"),
        ("url=http://h,timeout=1e9", "timeout=1e9: give 10000000 at most"),
        ("url=http://h,max_tokens=1e300", "max_tokens=1e300: give 1000000000 at most"),
        ("url=http://h,samples=101", "samples=101: give 100 at most"),
        ("url=http://h,temperature=11", "temperature=11: give 10 at most"),
        ("url=http://h,parallel=1.5", "parallel=1.5: give a whole number"),
        ("url=http://h,samples=0", "samples=0: give a number, more than 0"),
        ("url=http://h,template=/no/such", "template=/no/such: cannot be read"),
        ("url=http://h,format=xml", "format=xml: give one of text, json"),
        ("url=http://h,format=json,pattern=(x)", "give one of the two"),
        ("url=http://h,pattern=x", "give one group, around the number"),
        ("url=http://h,pattern=(", "pattern=\\(: missing"),
        ("url=http://h,prompt=x", "unknown parameter 'prompt'"),
    ],
)
def test_what_cannot_be_built_says_why(rest: str, message: str) -> None:
    """One line that names the parameter and what it takes; no credential in it."""
    with pytest.raises(VerifierSetupError, match=message) as raised:
        build(f"judge:{rest}" if rest else "judge")
    assert "secret" not in str(raised.value)

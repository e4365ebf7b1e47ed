"""`judge`: over real HTTP, what is sent to a grading model, and which number of its reply is the reward."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.embedded.process import EmbeddedServer
from collector.errors import VerifierError
from tests.verifiers.judged import score
from tests.verifiers.make import judge
from tests.verifiers.model_server import ScoringServer, always


async def test_the_score_is_scaled_and_the_words_are_kept(server: ScoringServer) -> None:
    """7 of 1..10 is 2/3; the raw score is a component, the judge's words and tokens are fields."""
    verdict = await score(server)
    assert verdict.reward == pytest.approx(6 / 9)
    assert verdict.components == {"score": 7.0}
    assert verdict.fields == {
        "judge": "Fine.\n\nScore: 7",
        "judge_usage": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},
    }
    assert (await score(server, "min=0,max=7")).reward == 1.0
    assert (await score(server, "min=7,max=8.5")).reward == 0.0


async def test_what_is_sent(server: ScoringServer) -> None:
    """One user message, temperature 0, a seed, a token limit, the only model; the same rollout asks the same again."""
    for _ in range(2):
        await score(server)
    await score(server, "max_tokens=none,temperature=none")
    first, second, third = server.bodies
    assert first == second
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("judge-model", 0.0, 2048)
    assert [message["role"] for message in first["messages"]] == ["user"]
    assert 0 <= first["seed"] < 2**31
    assert {"temperature", "max_tokens"}.isdisjoint(third)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Score: 8", 8.0),
        ("good\n**Score: 8/10**\n\n", 8.0),
        ("> score : 7.5", 7.5),
        ("Score: 2\nno, wait\nScore: 9.", 9.0),
        ("### Score: **10**", 10.0),
        ("Score: 8\r\n", 8.0),
    ],
)
async def test_the_last_line_is_the_score(server: ScoringServer, said: str, wanted: float) -> None:
    """Markdown, white space and the scale's own end are read over; the last line decides."""
    server.say = always(said)
    assert (await score(server)).components["score"] == wanted


@pytest.mark.parametrize(
    "said",
    [
        "Score: 8 because it is right",
        "Score: 8\nThat is my view.",
        "Score: eight",
        "Score: 11",
        "Score: 0",
        "Score: 4/5",
        "Score: -3",
        "Score: 1e1",
        "Score: NaN",
        "Score: \u0665",
        "Score: 5" + " " * 100_000 + "x",
        "Score: 8, Score: 9",
        "The score: 8",
        "8",
        "",
        "I will not grade this.",
    ],
)
async def test_anything_else_is_no_score(server: ScoringServer, said: str) -> None:
    """A reply without exactly one readable score in its place is a failure of its own class, never a zero."""
    server.say = always(said)
    with pytest.raises(VerifierError, match=r"^judge: no score in 3 tries; of the last: ") as raised:
        await score(server)
    assert raised.value.failure_class == "judge_unparsed"
    assert not raised.value.retryable


async def test_a_reply_without_a_score_is_asked_for_again(server: ScoringServer) -> None:
    """Each further try has another seed and some warmth, since a greedy judge repeats itself; tokens are summed."""
    server.say = lambda body, number: "hm" if number < 2 else "Score: 4"
    verdict = await score(server)
    assert verdict.components == {"score": 4.0}
    assert verdict.fields["judge_usage"]["total_tokens"] == 360
    assert len({body["seed"] for body in server.bodies}) == 3
    assert [body["temperature"] for body in server.bodies] == [0.0, 0.7, 0.7]


async def test_a_judgement_cut_short_is_none(server: ScoringServer) -> None:
    """A reply that hit its limit may end in a line that looks like a score, and means nothing."""
    server.finish = "length"
    with pytest.raises(VerifierError, match=r"in one try; of the last: it was cut .*raise max_tokens="):
        await score(server, "tries=1")


@pytest.mark.parametrize("said", ["1_0", "nan", "\u0665", "1e1", "ten", "99", ""])
async def test_a_pattern_reads_plain_numbers_alone(server: ScoringServer, said: str) -> None:
    """What Python would take for a number besides, and what is off the scale, is no score."""
    server.say = always(f"Rating: <{said}>")
    with pytest.raises(VerifierError, match="no score in one try"):
        await score(server, "tries=1,pattern=Rating: <(.*)>")


async def test_the_scale_is_said_in_full(server: ScoringServer) -> None:
    """No digit of `min` and `max` is lost on the way to the judge."""
    server.say = always("Score: 1234567")
    assert (await score(server, "min=0.1234567,max=1234567")).reward == 1.0
    assert "a number\nfrom 0.1234567 to 1234567:" in server.bodies[-1]["messages"][0]["content"]


async def test_json_scores(server: ScoringServer) -> None:
    """format=json sends the schema, and reads one object; a boolean, a string or a list is no score."""
    server.say = always('```json\n{"reasoning": "x", "score": 5.5}\n```')
    assert (await score(server, "format=json")).components == {"score": 5.5}
    sent = server.bodies[-1]["response_format"]["json_schema"]["schema"]["properties"]["score"]
    assert sent == {"type": "number", "minimum": 1.0, "maximum": 10.0}
    for said in (
        '{"score": 1, "score": 9}',
        '{"score": NaN}',
        '{"score": 1e999}',
        '{"score": %s}' % ("9" * 400),
        "[" * 9999,
    ):
        server.say = always(said)
        with pytest.raises(VerifierError, match="no score in one try"):
            await score(server, "format=json,tries=1")
    for said in ('{"score": true}', '{"score": "9"}', "[9]", "9", '{"score": 99}', '{"score": null}', "Score: 9"):
        server.say = always(said)
        with pytest.raises(VerifierError, match="no score in one try"):
            await score(server, "format=json,tries=1")


async def test_several_judgements_are_averaged(server: ScoringServer) -> None:
    """samples=3: three seeds at some warmth, their mean, and how far they lie apart; every judgement's words."""
    server.say = lambda body, number: f"Score: {4 + number}"
    verdict = await score(server, "samples=3")
    assert verdict.components == {"score": 5.0, "score_spread": pytest.approx((2 / 3) ** 0.5)}
    assert sorted(verdict.fields["judge"]) == ["Score: 4", "Score: 5", "Score: 6"]
    assert verdict.fields["judge_usage"]["total_tokens"] == 360
    assert len({body["seed"] for body in server.bodies}) == 3
    assert {body["temperature"] for body in server.bodies} == {0.7}
    server.say = lambda body, number: "Score: 4" if number % 2 else "no"
    with pytest.raises(VerifierError, match="no score in one try"):
        await score(server, "samples=4,tries=1")


async def test_long_words_of_the_judge_are_bounded(server: ScoringServer) -> None:
    """Beginning and end are kept."""
    server.say = always("begin" + "x" * 10_000 + "\nScore: 6")
    kept = (await score(server)).fields["judge"]
    assert len(kept) < 4100
    assert kept.startswith("begin") and kept.endswith("Score: 6")


async def test_a_real_model_is_asked_and_read(tmp_path: Path) -> None:
    """Against the embedded server: a model that cannot grade says no score, and that is what comes out."""
    path = tmp_path / "short.txt"
    path.write_text("What is {answer}?", encoding="utf-8")
    async with EmbeddedServer() as server:
        with pytest.raises(VerifierError, match="no score in 2 tries") as raised:
            await judge(f"judge:url={server.base_url},tries=2,max_tokens=16,template={path}", {}, "2 + 2")
    assert raised.value.failure_class == "judge_unparsed"

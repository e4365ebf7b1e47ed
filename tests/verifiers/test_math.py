"""`math`: the real math-verify on answers that are right, wrong, and made to break it."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from collector.errors import VerifierError, VerifierSetupError
from collector.verifiers.mathematics import MathVerifier
from collector.verifiers.pooled import pool_from
from collector.verifiers.spec import read_parameters
from collector.verifiers.workers.pool import WorkerPool
from tests.verifiers.make import build, judge, make_reply, make_row, make_task

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """One worker for all of these tests: it takes a second to load."""
    given = read_parameters("math", "workers=1,timeout=20", ("workers", "timeout"))
    pool = pool_from(given, "math_job.py")
    yield pool
    await pool.close()


STORY = "We see that $x = 3$, and so 4 + 5 = 9. "

COMPARED: list[tuple[object, str, float]] = [
    ("1/2", r"so \boxed{0.5}", 1.0),
    (r"\frac{1}{2}", "It is $1/2$.", 1.0),
    ("0.5", "The answer is 1/2", 1.0),
    ("0.3333", r"\boxed{\frac{1}{3}}", 0.0),
    (42, "The answer is 42.", 1.0),
    (42, "It is 41, then", 0.0),
    (1e-07, "0.0000001", 1.0),
    ("2x + 3y", r"\boxed{3y + 2x}", 1.0),
    ("2x + 3y", r"\boxed{2}", 0.0),
    ("(x+1)^2", "$x^2 + 2x + 1$", 1.0),
    (r"\{1, 2\}", r"\boxed{\{2, 1\}}", 1.0),
    ("{1, 2}", r"\boxed{\{2, 3\}}", 0.0),
    ("[1, 2)", r"\boxed{[1, 2)}", 1.0),
    ("[1, 2)", r"\boxed{(1, 2)}", 0.0),
    (r"(-\infty, 2] \cup [3, \infty)", r"$(-\infty, 2] \cup [3, \infty)$", 1.0),
    (r"\sqrt{8}", r"\boxed{2\sqrt{2}}", 1.0),
    ("x = 5", r"\boxed{5}", 1.0),
    (r"\text{Yes}", r"\boxed{\text{Yes}}", 1.0),
    ("She has 30 + 42 = <<30+42=72>>72 eggs.\n#### 72", r"\boxed{72}", 1.0),
    (r"The area is $\frac{9}{4}$.", r"\boxed{2.25}", 1.0),
    ("4", r"\boxed{3}, no: \boxed{4}", 1.0),
    ("3", r"\boxed{3}, no: \boxed{4}", 0.0),
    ("{3, 4}", r"\boxed{3} and \boxed{4}", 1.0),
    (r"\frac{1}{2}", r"\boxed{\boxed{\frac{1}{2}}} as {x} is", 1.0),
    ("4", r"\boxed{4}, then text with 5 and $6$", 1.0),
    ("4", r"\boxed{4} " + STORY * 1000, 1.0),
    ("4", STORY * 1000 + r"\boxed{4}", 1.0),
    ("4", "I do not know", 0.0),
    ("4", "", 0.0),
]


async def test_answers_are_compared_as_mathematics(pool: WorkerPool) -> None:
    """Numbers, expressions, sets and intervals that mean the same are equal, wherever the answer stands."""
    verifier = MathVerifier(pool)
    rewards = [
        (await verifier.verify(make_task({"expected_answer": expected}), make_reply(text))).reward
        for expected, text, _ in COMPARED
    ]
    assert [(*case[:2], reward) for case, reward in zip(COMPARED, rewards, strict=True)] == COMPARED


async def test_the_row_keeps_what_was_read(pool: WorkerPool) -> None:
    """`extracted_answer` is the answer's own text; None where there is none."""
    verifier = MathVerifier(pool, "gold")
    for text, read in ((r"so \boxed{x^2}", "x^2"), ("none", None)):
        verdict = await verifier.verify(make_task({"gold": "7"}), make_reply(text))
        assert verdict.fields == {"extracted_answer": read}


async def test_precision_and_strictness_may_be_chosen(pool: WorkerPool) -> None:
    """`precision` is the decimal places that count; `strict=no` takes a tuple for a set and one letter for another."""
    cases = [("0.333", r"\boxed{1/3}"), ("x + 1", "$y + 1$")]
    for precision, strict, reward in ((3, False, 1.0), (6, True, 0.0)):
        verifier = MathVerifier(pool, precision=precision, strict=strict)
        verdicts = [await verifier.verify(make_task({"expected_answer": e}), make_reply(t)) for e, t in cases]
        assert [verdict.reward for verdict in verdicts] == [reward, reward]


HARMLESS = {
    "a megabyte of brackets": "{" * 1_000_000,
    "a deep nest in a box": r"\boxed{" + "{" * 20_000 + "}" * 20_000 + "}",
    "boxes in boxes": r"\boxed{" * 2000,
    "control characters": "\x00\x1b[31m\x07 \ud800 \u202e no",
    "not a number": r"\boxed{nan}",
    "infinity": r"\boxed{\infty}",
    "many digits": r"\boxed{" + "9" * 5000 + "}",
    "many dollars": "$" * 100_000,
}


async def test_hostile_replies_are_wrong_answers_and_no_more(pool: WorkerPool) -> None:
    """Text made to break a parser gets 0, and the same worker goes on."""
    verifier = MathVerifier(pool)
    for text in HARMLESS.values():
        verdict = await verifier.verify(make_task({"expected_answer": "42"}), make_reply(text))
        assert verdict.reward == 0.0
    assert (await verifier.verify(make_task({"expected_answer": "42"}), make_reply("42"))).reward == 1.0


async def test_an_answer_that_takes_for_ever_is_a_failure_of_its_own() -> None:
    """A tower of powers is stopped: no reward, since whether it is right is not known; the next reply is judged."""
    async with build("math:workers=1,timeout=0.5") as verifier:
        with pytest.raises(VerifierError, match=r"line 7: .* not done after 0\.5 seconds of CPU time") as raised:
            await verifier.verify(make_task({"expected_answer": "42"}), make_reply(r"\boxed{9^{9^{9^9}}}"))
        assert raised.value.failure_class == "verifier_timeout"
        assert not raised.value.retryable
        assert (await verifier.verify(make_task({"expected_answer": "42"}), make_reply("42"))).reward == 1.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the row has no field 'expected_answer'"),
        ("  ", "the field 'expected_answer' is empty"),
        (["1"], "the field 'expected_answer' is a list; a number or an expression is needed"),
        (True, "is a boolean"),
    ],
)
async def test_a_row_without_an_expression_is_found_early(value: object, message: str) -> None:
    """What cannot be an expected answer is said before the run, and fails the row in it."""
    row = make_row({"expected_answer": value})
    assert message in (build("math").check(row) or "")
    with pytest.raises(VerifierError, match=re.escape(message)):
        await judge("math", row.fields, "1")


async def test_an_expected_answer_without_mathematics_is_a_failure(pool: WorkerPool) -> None:
    """Only math-verify can tell; nothing would ever equal it."""
    with pytest.raises(VerifierError, match="line 7: the field 'expected_answer' holds no mathematics") as raised:
        await MathVerifier(pool).verify(make_task({"expected_answer": "#### "}), make_reply("1"))
    assert raised.value.failure_class == "bad_field"


@pytest.mark.parametrize(("spec", "reward"), [("math:precision=3", 1.0), ("math:precision=4", 0.0)])
async def test_what_a_specification_says_reaches_the_worker(pool: WorkerPool, spec: str, reward: float) -> None:
    """The parameters of `--verifier math:...` decide, through the same builder as in a run."""
    verifier = build(spec)
    assert isinstance(verifier, MathVerifier)
    verifier._pool = pool  # one that has loaded
    verdict = await verifier.verify(make_task({"expected_answer": "0.333"}), make_reply(r"\boxed{1/3}"))
    assert verdict.reward == reward


async def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the run does not start, and the line says what to install."""
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(VerifierSetupError, match=re.escape("pip install 'pairmill[math]'")):
        build("math")

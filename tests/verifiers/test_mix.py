"""Mixes and vetoes: how several verifiers make one reward, who is asked, and what is wrong with a specification."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import VerifierError, VerifierSetupError
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.verifiers import BaseVerifier, Verifier, verifier_of
from collector.verifiers.mix import MixVerifier, Part
from tests.verifiers.make import SETTINGS, make_reply, make_row, make_task


class Fixed(BaseVerifier):
    """Gives one reward, and counts how often it was asked."""

    def __init__(self, reward: float, *, waits: bool = False, digest: str | None = None) -> None:
        self.reward = reward
        self.waits = waits
        self.code_digest = digest
        self.asked = 0
        self.open = False

    async def __aenter__(self) -> Self:
        self.open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.open = False

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        self.asked += 1
        if self.waits:
            await asyncio.sleep(0)
        return Verdict(self.reward, {"part": 0.25}, {"note": self.reward})


class Failing(Fixed):
    async def verify(self, task: Task, reply: Reply) -> Verdict:
        raise VerifierError("the server is busy", failure_class="busy", retryable=True)


def mix_of(*specs: str, vetoes: Sequence[str] = ()) -> Verifier:
    verifier = verifier_of(replace(SETTINGS, verifier=specs, vetoes=tuple(vetoes)))
    assert verifier is not None
    return verifier


async def mixed(text: str, *specs: str, vetoes: Sequence[str] = (), **fields: object) -> Verdict:
    async with mix_of(*specs, vetoes=vetoes) as verifier:
        return await verifier.verify(make_task(fields), make_reply(text))


async def ask(*parts: Part) -> Verdict:
    return await MixVerifier(parts).verify(make_task({}), make_reply(""))


async def test_a_mix_is_the_weighted_mean_of_its_parts() -> None:
    """Weights need not sum to 1; every part's reward and fields stand under its name."""
    row = {"expected_answer": "42", "x": "because"}
    verdict = await mixed("it is 42", "3*numeric", "1*contains:field=x", **row)
    assert verdict.reward == 0.75
    assert verdict.components == {"numeric": 1.0, "contains": 0.0}
    assert verdict.fields == {"numeric.extracted_answer": "42"}
    assert (await mixed("it is 42", "0.7*numeric", "0.3*contains:field=x", **row)).reward == pytest.approx(0.7)
    assert (await mixed("it is 42", "numeric", "contains:field=x", **row)).reward == 0.5
    assert (await mixed("it is 42", "numeric", "0*contains:field=x", **row)).reward == 1.0


async def test_one_specification_alone_is_no_mix() -> None:
    """A single verifier without weight and veto gives its verdict as it is; with a weight or label it is a mix."""
    alone = verifier_of(replace(SETTINGS, verifier="numeric"))
    assert alone is not None
    assert alone.name == "numeric"
    assert mix_of("numeric").name == "numeric"
    assert (await mixed("1", "2*numeric", expected_answer="1")).components == {"numeric": 1.0}
    assert (await mixed("1", "right=numeric", expected_answer="1")).components == {"right": 1.0}
    assert verifier_of(SETTINGS) is None


async def test_names_are_unique() -> None:
    """The second part of one kind is numbered, vetoes too; a label names a part instead, and numbers keep off it."""
    row = {"expected_answer": "a", "b": "b", "c": "c"}
    verdict = await mixed(
        "a b",
        "contains",
        "contains:field=b",
        "2*contains_3=contains:field=c",
        "contains:field=c",
        vetoes=["contains", "polite=contains"],
        **row,
    )
    assert verdict.components == {
        "contains": 1.0,
        "contains_2": 1.0,
        "contains_3": 0.0,
        "contains_4": 0.0,
        "contains_5": 1.0,
        "polite": 1.0,
    }
    assert verdict.reward == 2 / 5


async def test_stars_in_patterns_paths_and_urls_are_no_weights() -> None:
    """A star or equals sign behind the first colon belongs to the verifier."""
    assert (await mixed("aaab", "regex:pattern=^a*b$", "0.5*regex:pattern=x*y=z")).reward == pytest.approx(2 / 3)
    assert (await mixed("aaab", "regex:pattern=^a*b$")).components == {}
    assert mix_of("http://127.0.0.1:9/a*b").name == "http"
    assert mix_of("0.5*http://127.0.0.1:9/a*b", "numeric").waits
    with pytest.raises(VerifierSetupError, match=re.escape("no such file: /tmp/2*3.py")):
        mix_of("python:/tmp/2*3.py:score")


@pytest.mark.parametrize(
    ("specs", "vetoes", "message"),
    [
        (["x*numeric"], [], "--verifier x*numeric: the weight 'x' is no number of 0 or more: write 0.7*numeric"),
        (["*numeric"], [], "--verifier *numeric: the weight '' is no number"),
        (["-1*numeric", "exact"], [], "the weight '-1' is no number of 0 or more"),
        (["nan*numeric"], [], "the weight 'nan' is no number"),
        (["inf*numeric"], [], "the weight 'inf' is no number"),
        (["0*numeric", "0*exact"], [], "every weight is 0: give one part of the mix a weight above 0"),
        (["numeric", "2*exakt"], [], "--verifier exakt: no verifier 'exakt'; known:"),
        (["a=numeric", "a=exact"], [], "--verifier a=...: two parts are called a"),
        (["numeric"], ["2*exact"], "--veto 2*exact: a veto has no weight: leave 2* out"),
        (["numeric"], ["exact:x=1"], "--veto exact: unknown parameter 'x'"),
        (["2*"], [], "no verifier ''"),
    ],
)
def test_a_wrong_mix_is_one_clear_line(specs: list[str], vetoes: list[str], message: str) -> None:
    """Each mistake names the flag, the part and what to write."""
    with pytest.raises(VerifierSetupError, match=re.escape(message)) as raised:
        mix_of(*specs, vetoes=vetoes)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_veto_alone_is_refused() -> None:
    """There is no reward that it could veto."""
    with pytest.raises(VerifierSetupError, match="--veto numeric: a veto needs a reward to veto: give --verifier"):
        verifier_of(replace(SETTINGS, vetoes=("numeric",)))


async def test_a_veto_makes_the_reward_zero() -> None:
    """A veto that gives 0 or less takes the reward away and is named; one that gives more changes nothing."""
    row = {"expected_answer": "42", "x": "please"}
    refused = await mixed("42", "numeric", vetoes=["contains:field=x"], **row)
    assert refused.reward == 0.0
    assert refused.components == {"numeric": 1.0, "contains": 0.0}
    assert refused.fields["vetoed_by"] == ["contains"]
    accepted = await mixed("please: 42", "numeric", vetoes=["contains:field=x"], **row)
    assert accepted.reward == 1.0
    assert accepted.components == {"numeric": 1.0, "contains": 1.0}
    assert "vetoed_by" not in accepted.fields
    assert (await ask(Part("a", Fixed(1), 1.0), Part("v", Fixed(-1), None))).fields["vetoed_by"] == ["v"]


async def test_slow_parts_are_not_asked_once_a_veto_said_no() -> None:
    """Quick verifiers are all asked, then slow vetoes, then slow parts; a veto's no saves what comes after it."""
    quick, slow, slow_veto = Fixed(1), Fixed(1, waits=True), Fixed(1, waits=True)
    parts = [Part("quick", quick, 1.0), Part("slow", slow, 1.0), Part("slow_veto", slow_veto, None)]
    verdict = await ask(*parts, Part("no", Fixed(0), None))
    assert (quick.asked, slow.asked, slow_veto.asked) == (1, 0, 0)
    assert verdict.components == {"quick": 1.0, "quick.part": 0.25, "no": 0.0, "no.part": 0.25}
    verdict = await ask(*parts, Part("no", Fixed(0, waits=True), None))
    assert (quick.asked, slow.asked, slow_veto.asked) == (2, 0, 1)
    assert verdict.fields["vetoed_by"] == ["no"]
    await ask(*parts)
    assert (quick.asked, slow.asked, slow_veto.asked) == (3, 1, 2)


async def test_a_part_that_fails_fails_the_verdict() -> None:
    """The error names the part and keeps its class; a reward that is no finite number is one too."""
    for waits in (False, True):
        with pytest.raises(VerifierError, match="judge: the server is busy") as raised:
            await ask(Part("quick", Fixed(1, waits=waits), 1.0), Part("judge", Failing(0, waits=waits), 1.0))
        assert raised.value.failure_class == "busy"
        assert raised.value.retryable
    with pytest.raises(VerifierError, match="odd: the reward is nan") as raised:
        await ask(Part("odd", Fixed(float("nan")), 1.0), Part("no", Fixed(0), None))
    assert raised.value.failure_class == "bad_reward"


class Busy(Fixed):
    """Its first `times` answers may pass; it says no more than the others let it: it waits for none."""

    def __init__(self, reward: float, *, times: int = 1, retryable: bool = True, waits: bool = True) -> None:
        super().__init__(reward, waits=waits)
        self.times = times
        self.retryable = retryable

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        self.asked += 1
        if self.asked <= self.times:
            raise VerifierError("the server is busy", failure_class="busy", retryable=self.retryable)
        return Verdict(self.reward)


async def test_a_verdict_tried_again_asks_only_who_has_not_answered() -> None:
    """Parts that answered, at once or while another failed, are not asked, and paid for, a second time."""
    quick, slow, veto, busy = Fixed(1), Fixed(1, waits=True), Fixed(1, waits=True), Busy(0.5, times=2)
    mix = MixVerifier(
        [Part("quick", quick, 1.0), Part("busy", busy, 1.0), Part("slow", slow, 2.0), Part("veto", veto, None)]
    )
    task, reply = make_task({}), make_reply("")
    for _ in range(2):
        with pytest.raises(VerifierError, match="busy: the server is busy"):
            await mix.verify(task, reply)
    verdict = await mix.verify(task, reply)
    assert verdict.reward == 3.5 / 4
    assert verdict.components["slow.part"] == 0.25
    assert [part.asked for part in (quick, slow, veto, busy)] == [1, 1, 1, 3]
    assert (await mix.verify(task, reply)).reward == 3.5 / 4
    assert [part.asked for part in (quick, slow, veto, busy)] == [2, 2, 2, 4]


async def test_what_is_known_of_a_reply_goes_with_it() -> None:
    """Another reply with the same words is asked anew; one that is given up leaves nothing in memory."""
    busy = Busy(1, times=3)
    slow = Fixed(1, waits=True)
    mix = MixVerifier([Part("busy", busy, 1.0), Part("slow", slow, 1.0)])
    for _ in range(3):
        reply = make_reply("the same")
        with pytest.raises(VerifierError):
            await mix.verify(make_task({}), reply)
    assert slow.asked == 3
    gc.collect()
    assert len(mix._answered) == 1
    del reply
    gc.collect()
    assert len(mix._answered) == 0


async def test_a_fault_that_stays_ends_the_verdict_at_once() -> None:
    """There will be no reward, so nobody waits for a judge that is still at it."""

    class Stuck(Fixed):
        async def verify(self, task: Task, reply: Reply) -> Verdict:
            await asyncio.Event().wait()
            raise AssertionError("never set")

    parts = [Part("stuck", Stuck(1, waits=True), 1.0), Part("bad", Busy(1, retryable=False), 1.0)]
    with pytest.raises(VerifierError, match="bad: the server is busy"):
        await ask(*parts)


async def test_slow_parts_are_asked_at_once() -> None:
    """Two parts that wait for each other both come to an end: neither is asked after the other."""
    first, second = asyncio.Event(), asyncio.Event()

    class Meeting(Fixed):
        def __init__(self, mine: asyncio.Event, other: asyncio.Event) -> None:
            super().__init__(1, waits=True)
            self.mine, self.other = mine, other

        async def verify(self, task: Task, reply: Reply) -> Verdict:
            self.mine.set()
            await self.other.wait()
            return Verdict(1.0)

    verdict = await ask(Part("a", Meeting(first, second), 1.0), Part("b", Meeting(second, first), 1.0))
    assert verdict.reward == 1.0


async def test_a_mix_is_open_checked_and_digested_as_its_parts_are() -> None:
    """Every part is entered and left; checks the row; the user's own code counts; one that waits makes it wait."""
    one, two = Fixed(1, digest="d1"), Fixed(1, waits=True, digest="d2")
    mix = MixVerifier([Part("one", one, 1.0), Part("two", two, None)])
    async with mix:
        assert [one.open, two.open] == [True, True]
    assert [one.open, two.open] == [False, False]
    assert mix.waits
    assert mix.code_digest == hashlib.sha256(b"d1\nd2").hexdigest()
    plain = mix_of("numeric", vetoes=["ok=contains:field=x"])
    assert not plain.waits
    assert plain.code_digest is None
    assert (plain.check(make_row({"x": "a"})) or "").startswith("numeric: the row has no field 'expected_answer'")
    assert (plain.check(make_row({"expected_answer": "1"})) or "").startswith("ok: the row has no field 'x'")
    assert plain.check(make_row({"expected_answer": "1", "x": "a"})) is None


async def test_a_part_that_cannot_open_closes_those_before_it() -> None:
    """Nothing stays open behind a verifier whose server is not there."""

    class Shut(Fixed):
        async def __aenter__(self) -> Self:
            raise VerifierSetupError("shut")

        def check(self, row: PromptRow) -> str | None:
            return None

    one = Fixed(1)
    with pytest.raises(VerifierSetupError, match="shut"):
        async with MixVerifier([Part("one", one, 1.0), Part("two", Shut(1), 1.0)]):
            raise AssertionError("never entered")
    assert not one.open


PARTS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), min_size=1, max_size=6).filter(
    lambda parts: any(weight > 1e-3 for _, weight in parts)
)


def reward_of(parts: Sequence[tuple[float, float]]) -> float:
    named = [Part(f"p{number}", Fixed(reward), weight) for number, (reward, weight) in enumerate(parts)]
    return asyncio.run(ask(*named)).reward


@settings(max_examples=60, deadline=None)
@given(PARTS, st.integers(-20, 20))
def test_only_the_ratio_of_weights_counts(parts: list[tuple[float, float]], power: int) -> None:
    """Weights times any number give the same reward; it lies between the smallest and the largest of the parts."""
    scaled = [(reward, weight * 2.0**power) for reward, weight in parts]
    assert reward_of(scaled) == pytest.approx(reward_of(parts), rel=1e-9, abs=1e-9)
    counted = [reward for reward, weight in parts if weight > 0]
    assert min(counted) - 1e-6 <= reward_of(parts) <= max(counted) + 1e-6


@settings(max_examples=60, deadline=None)
@given(PARTS.flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))))
def test_the_order_of_parts_does_not_matter(pair: tuple[list[tuple[float, float]], list[tuple[float, float]]]) -> None:
    """The same parts in another order give the same reward, bit for bit."""
    assert reward_of(pair[0]) == reward_of(pair[1])

"""The halving by itself, with a sampler that draws rewards from known chances: which arms go on, and what is said."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from collector.errors import UsageError
from pairing.planning.chances import Rule
from pairing.planning.samples import Member, PromptSamples
from pairing.tuning.findings import Finding, finding_of
from pairing.tuning.grid import Arm, Grid, Rung, fitted, requests_of, rungs_of
from pairing.tuning.halving import RungResult, halve
from pairing.tuning.scores import ArmData

RULE = Rule((0.15,))


class FakeSampler:
    """Stands in for the collector: each rollout of an arm is solved with the arm's chance, cut with its share, and as
    long as it says. Prompts that were asked for before are the same."""

    def __init__(self, solved: dict[float, float], cut: float = 0.0, tokens: float = 20.0, repeats: int = 4) -> None:
        self.solved, self.cut, self.tokens, self.repeats = solved, cut, tokens, repeats
        self.asked: list[tuple[Arm, int]] = []

    async def sample(self, arm: Arm, prompts: int) -> ArmData:
        self.asked.append((arm, prompts))
        return ArmData([self._prompt(arm, task) for task in range(prompts)])

    def _prompt(self, arm: Arm, task: int) -> PromptSamples:
        rng = np.random.default_rng([task, 7])
        draws = rng.random(self.repeats)
        members = tuple(Member(float(draw < self.solved[arm.temperature]), True, True) for draw in draws)
        cut = int(rng.binomial(self.repeats, self.cut))
        return PromptSamples((task, f"p{task}"), self.repeats, members, self.tokens, self.tokens, cut)


def halved(
    grid: Grid, sampler: FakeSampler, rungs: tuple[Rung, ...], max_truncated: float = 0.1
) -> tuple[tuple[RungResult, ...], Finding]:
    async def run() -> tuple[RungResult, ...]:
        return await halve(grid, rungs, sampler, RULE, max_truncated=max_truncated)

    results = anyio.run(run)
    return results, finding_of(grid, results, max_truncated)


GRID = Grid((0.2, 0.4, 0.6, 0.8), (1.0,), (2, 4))


def test_the_best_arm_wins_and_the_worst_are_asked_least() -> None:
    """Chances nearest to a half give most pairs; each rung asks fewer arms for more prompts, in the grid's order."""
    sampler = FakeSampler({0.2: 0.02, 0.4: 0.1, 0.6: 0.5, 0.8: 0.95})
    results, finding = halved(GRID, sampler, rungs_of(4, 40, 2, 1000))
    assert finding.flags == "--temperature 0.6 --top-p 1 --num-repeats 2"
    assert [len(result.arms) for result in results] == [4, 2]
    assert [(arm.temperature, prompts) for arm, prompts in sampler.asked[:4]] == [(t, 40) for t in GRID.temperatures]
    assert {arm.temperature for arm, prompts in sampler.asked[4:]} == {0.4, 0.6}
    assert not finding.ties


def test_the_figure_is_pairs_for_tokens() -> None:
    """Half of 2 rollouts of 20 tokens pair: 12,500 for a million tokens, within the interval."""
    results, _ = halved(Grid((0.6,), (1.0,), (2, 4)), FakeSampler({0.6: 0.5}), (Rung(1, 400),))
    figure = results[0].arms[0].score.figure
    assert figure.low < 12_500 < figure.high
    assert figure.value == pytest.approx(12_500, rel=0.1)


def test_arms_alike_are_said_to_be_a_tie() -> None:
    """Same chances, same seeds: no difference at all, and no winner is made of it."""
    results, finding = halved(Grid((0.4, 0.6, 0.8), (1.0,), (2, 4)), FakeSampler(dict.fromkeys((0.4, 0.6, 0.8), 0.4)),
                              (Rung(3, 30),))  # fmt: skip
    assert finding.ties == (Arm(0.6, 1.0), Arm(0.8, 1.0))
    assert any("intervals overlap" in line for line in finding.warnings)
    assert [judged.tie for judged in results[0].arms] == [False, True, True]


def test_the_best_at_an_edge_is_said() -> None:
    """The hottest is best: hotter ones were not tried."""
    _, finding = halved(GRID, FakeSampler({0.2: 0.02, 0.4: 0.05, 0.6: 0.1, 0.8: 0.5}), rungs_of(4, 40, 2, 1000))
    assert any("0.8, is the highest that was tried" in line for line in finding.warnings)


def test_rare_successes_want_more_repeats() -> None:
    """Two rollouts seldom differ, and yet more of them are no cheaper: what they would give all the same is said."""
    _, finding = halved(Grid((0.6,), (1.0,), (2, 4)), FakeSampler({0.6: 0.05}), (Rung(1, 200),))
    assert any("where prompts are few" in line for line in finding.warnings)


def test_all_arms_over_the_limit_end_the_tune() -> None:
    """Nothing is recommended, the first rung is the last, and the way out is named."""
    sampler = FakeSampler(dict.fromkeys(GRID.temperatures, 0.5), cut=0.5)
    results, finding = halved(GRID, sampler, rungs_of(4, 20, 2, 1000))
    assert len(results) == 1
    assert finding.flags == ""
    assert "--max-output-tokens" in finding.why


def test_no_pair_at_all_ends_the_tune() -> None:
    """Every answer is right: there is nothing to choose between."""
    _, finding = halved(GRID, FakeSampler(dict.fromkeys(GRID.temperatures, 1.0)), rungs_of(4, 20, 2, 1000))
    assert finding.best is None
    assert "no usable pair" in finding.why


def test_an_arm_over_the_limit_never_goes_on_beside_one_under_it() -> None:
    """Pairs do not make up for answers that are cut."""

    class OneCut(FakeSampler):
        async def sample(self, arm: Arm, prompts: int) -> ArmData:
            self.cut = 0.6 if arm.temperature == 0.6 else 0.0
            return await super().sample(arm, prompts)

    results, finding = halved(GRID, OneCut({0.2: 0.1, 0.4: 0.2, 0.6: 0.5, 0.8: 0.05}), rungs_of(4, 40, 2, 1000))
    assert results[0].arms[-1].score.arm.temperature == 0.6
    assert finding.best is not None
    assert finding.best.arm.temperature == 0.4


def test_failed_rollouts_are_no_pairs() -> None:
    """Prompts without a rollout count as asked; many failures are said."""

    class Failing(FakeSampler):
        async def sample(self, arm: Arm, prompts: int) -> ArmData:
            data = await super().sample(arm, prompts)
            return ArmData(data.prompts[: prompts // 2], failed=prompts // 2 * self.repeats)

    results, finding = halved(Grid((0.6,), (1.0,), (2, 4)), Failing({0.6: 0.5}), (Rung(1, 100),))
    assert results[0].arms[0].score.paired[0].value < 0.35
    assert any("200 of 400 rollouts failed" in line for line in finding.warnings)


def test_rungs_cost_alike_and_end_with_two_arms_or_all_prompts() -> None:
    """Ten arms to four to two; prompts are never more than there are; one or two arms need one rung."""
    assert rungs_of(10, 32, 3, 4000) == (Rung(10, 32), Rung(4, 96), Rung(2, 288))
    assert rungs_of(10, 32, 3, 50) == (Rung(10, 32), Rung(4, 50))
    assert rungs_of(2, 32, 3, 4000) == (Rung(2, 32),)
    assert requests_of(rungs_of(10, 32, 3, 4000), 8) == 10 * 32 * 8 + 4 * 64 * 8 + 2 * 192 * 8


def test_a_limit_of_requests_makes_the_pilot_smaller() -> None:
    """As large as fits; an error when nothing does."""
    rungs = fitted(10, 32, 3, 4000, 8, 4000)
    assert requests_of(rungs, 8) <= 4000 < requests_of(rungs_of(10, rungs[0].prompts + 1, 3, 4000), 8)
    with pytest.raises(UsageError, match="--max-requests 100"):
        fitted(10, 32, 3, 4000, 8, 100)

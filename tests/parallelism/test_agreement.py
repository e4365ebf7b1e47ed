"""The test that load did not change rewards or lengths."""

from __future__ import annotations

import numpy as np

from collector.parallelism.agreement import agreement

RNG = np.random.default_rng(3)


def drawn(level_shift: dict[int, float], prompts: int = 60) -> dict[int, dict[int, float]]:
    """Prompts of very different difficulty, and a little noise at each level."""
    difficulty = RNG.uniform(0, 1, prompts)
    return {
        level: {place: float(difficulty[place] + shift + RNG.normal(0, 0.05)) for place in range(prompts)}
        for level, shift in level_shift.items()
    }


def test_levels_that_are_the_same_to_the_last_bit_agree() -> None:
    """A server that gives a seed's text at any load: p is 1, and nothing differs."""
    same = {place: 0.1 * (place % 7) for place in range(40)}
    found = agreement({1: same, 8: dict(same), 64: dict(same)}, paired=True)
    assert found is not None
    assert found.p == 1.0
    assert found.widest == 0.0
    assert not found.differs


def test_chance_alone_is_no_difference() -> None:
    """Of 20 sweeps without any difference at most two are said to differ."""
    found = [agreement(drawn({1: 0, 8: 0, 64: 0}), paired=True) for _ in range(20)]
    assert sum(one is not None and one.differs for one in found) <= 2


def test_a_small_loss_under_load_is_seen_beside_large_differences_between_prompts() -> None:
    """Prompts are compared with themselves: five hundredths at the highest level stand out."""
    found = agreement(drawn({1: 0, 8: 0, 64: -0.05}), paired=True)
    assert found is not None
    assert found.differs
    assert found.levels == (1, 8, 64)
    assert found.prompts == 60


def test_other_prompts_at_each_level_are_compared_as_such() -> None:
    """Unpaired: a loss must be large to be seen, and is."""
    values = drawn({1: 0, 8: 0, 64: -0.6})
    apart = {level: {1000 * level + place: value for place, value in some.items()} for level, some in values.items()}
    found = agreement(apart, paired=False)
    assert found is not None
    assert found.differs
    assert agreement(apart, paired=True) is None


def test_too_few_prompts_are_no_test() -> None:
    """A slow level that saw nine prompts is left out; with fewer than two levels left nothing is said."""
    values = drawn({1: 0, 8: 0, 64: 0})
    values[1] = {place: values[1][place] for place in range(9)}
    found = agreement(values, paired=True)
    assert found is not None
    assert found.levels == (8, 64)
    assert agreement({1: values[1], 8: {0: 1.0}}, paired=True) is None

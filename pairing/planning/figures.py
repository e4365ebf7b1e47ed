"""The rows of a plan: yield, gap, tokens and cost for each number of repeats and each gap, with their intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pairing.planning.chances import GAP, PAIRED, Floats, Rule, subset_odds
from pairing.planning.intervals import draws_of, interval
from pairing.planning.model import Forecast, forecasts
from pairing.planning.samples import PromptSamples

__all__ = ["Between", "Plan", "Row", "Stop", "between", "plan_by_resampling", "plan_by_rewards"]

_MOST_MODELLED = 1000
"""Prompts that stand for all where the model is asked."""


class Between(NamedTuple):
    """A figure and its 95% interval; NaN where there is nothing to tell of."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """What `repeats` rollouts of each prompt would give with pairs of `gap` or more.

    `modelled` is the share of prompts that have fewer rollouts and are foretold by the model; `far` says that the row
    lies past twice what most prompts have. Tokens are output tokens of all rollouts, for one pair.
    """

    repeats: int
    gap: float
    modelled: float
    far: bool
    paired: Between
    mean_gap: Between
    pairs: Between
    """For a prompt."""
    tokens: Between
    input_tokens: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Sampling each prompt until it has a usable pair, `cap` rollouts at most: what it takes on average, for a prompt
    and for a usable pair. Usable by rewards alone, as the collector's early stop decides."""

    cap: int
    gap: float
    modelled: float
    samples: Between
    tokens: Between
    fixed_tokens: float
    """The same with all `cap` rollouts of each prompt."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`stops` is empty where rewards alone do not decide. `check` foretells, from half of each prompt's rollouts, the
    yield of all of them at the first gap: what was foretold, and what it is."""

    rows: tuple[Row, ...]
    stops: tuple[Stop, ...] = ()
    modelled_prompts: int = 0
    check: tuple[int, Between, float] | None = None


class _Sample(NamedTuple):
    """Prompts, their weights in each draw of the bootstrap, and the mean output and input tokens of a rollout."""

    prompts: Sequence[PromptSamples]
    counts: Floats
    draws: Floats
    output: Floats
    input: Floats

    @classmethod
    def of(cls, prompts: Sequence[PromptSamples], seed: int) -> _Sample:
        return cls(
            prompts,
            np.array([prompt.count for prompt in prompts], dtype=np.float64),
            np.stack([np.ones(len(prompts)), *draws_of(len(prompts), seed)]),
            _filled([prompt.output_tokens for prompt in prompts]),
            _filled([prompt.input_tokens for prompt in prompts]),
        )


def plan_by_rewards(prompts: Sequence[PromptSamples], repeats: Sequence[int], rule: Rule, seed: int = 0) -> Plan:
    """For a rule that rewards decide. `prompts` is not empty. With a largest gap there is no early stop."""
    most, usual = max(repeats), int(np.median([prompt.count for prompt in prompts]))
    few = _Sample.of(_some(prompts, seed), seed)
    ahead = forecasts(few.prompts, most, rule)
    foretold = _drawn(few, ahead)
    every = few if len(few.prompts) == len(prompts) else _Sample.of(prompts, seed)
    exact = foretold if every is few else _averaged(every, _exact(every.prompts, most, rule))
    rows = [
        _row(each, gap, where, odds[:, each, place], usual)
        for each in repeats
        for where, odds in [(every, exact) if (every.counts >= each).all() else (few, foretold)]
        for place, gap in enumerate(rule.gaps)
    ]
    stops = _stops(few, repeats, rule, ahead[0]) if rule.max_gap == math.inf else []
    return Plan(tuple(rows), tuple(stops), len(few.prompts), _check(few, rule, seed))


def plan_by_resampling(
    prompts: Sequence[PromptSamples], repeats: Sequence[int], gaps: Sequence[float], seed: int = 0
) -> Plan:
    """For any other: what the pairing stage itself made of smaller groups. Only of prompts with enough rollouts, and no
    row for repeats that no prompt has."""
    shape = (len(prompts), len(repeats), len(gaps), 3)
    odds = np.array([prompt.by_resampling for prompt in prompts]).reshape(shape)
    rows = []
    for place, each in enumerate(repeats):
        which = [at for at, prompt in enumerate(prompts) if prompt.count >= each]
        if which:
            sample = _Sample.of([prompts[at] for at in which], seed)
            means = _averaged(sample, odds[which][:, None, place])
            rows += [_row(each, gap, sample, means[:, 0, at], each) for at, gap in enumerate(gaps)]
    return Plan(tuple(rows))


def _some(prompts: Sequence[PromptSamples], seed: int) -> Sequence[PromptSamples]:
    if len(prompts) <= _MOST_MODELLED:
        return prompts
    places = np.random.default_rng(seed).choice(len(prompts), _MOST_MODELLED, replace=False)
    return [prompts[place] for place in sorted(places)]


def _exact(prompts: Sequence[PromptSamples], most: int, rule: Rule) -> Floats:
    """(prompts, repeats, gaps, 2); prompts with the same rewards are worked out once. 0 past a prompt's rollouts."""
    known: dict[tuple[object, ...], Floats] = {}
    for prompt in prompts:
        key = (prompt.count, prompt.members)
        if key not in known:
            known[key] = subset_odds(prompt, most, rule)
    return np.nan_to_num(np.stack([known[prompt.count, prompt.members] for prompt in prompts]))


def _averaged(sample: _Sample, odds: Floats) -> Floats:
    """(draws, ...): the mean over prompts of `odds` (prompts, ...), as they are drawn; the first draw has each once."""
    means = sample.draws @ odds.reshape(len(odds), -1) / len(odds)
    return np.asarray(means).reshape(len(sample.draws), *odds.shape[1:])


def _drawn(sample: _Sample, aheads: Sequence[Forecast]) -> Floats:
    """The same of forecasts, whose shares are fitted to each draw anew. The first tells the first draw; the others take
    turns, so that the interval covers all. To the chance of a pair each draw adds what rollouts yet to come will bring
    by luck: a forecast is held against a run, not against a mean of runs."""
    found, rng = [], np.random.default_rng(len(sample.prompts))
    for place, times in enumerate(sample.draws):
        ahead, share = aheads[place % len(aheads)], times / times.sum()
        odds = np.einsum("pc,cpkgw->pkgw", ahead.posterior(ahead.weights(times)), ahead.odds, optimize=True)
        means = np.einsum("p,pkgw->kgw", share, odds)
        if place:
            chance = odds[..., PAIRED]
            luck = np.sqrt(np.einsum("p,pkg->kg", share**2, np.maximum(chance * (1 - chance), 0.0)))
            future = np.where((sample.counts.min() < np.arange(len(luck)))[:, None], luck, 0.0)
            lucky = np.clip(means[..., PAIRED] + future * rng.standard_normal(), 0.0, 1.0)
            means[..., GAP] *= np.divide(lucky, means[..., PAIRED], out=np.ones_like(lucky), where=lucky > 0)
            means[..., PAIRED] = lucky
        found.append(means)
    return np.stack(found)


def _row(repeats: int, gap: float, sample: _Sample, odds: Floats, usual: int) -> Row:
    """`odds` (draws, 2 or 3): chance of a pair, sum of gaps, pairs where they may be several."""
    paired, gaps, pairs = odds[:, 0], odds[:, 1], odds[:, -1] if odds.shape[1] > 2 else odds[:, 0]
    tokens = repeats * _averaged(sample, sample.output)
    return Row(
        repeats=repeats,
        gap=gap,
        modelled=float((sample.counts < repeats).mean()),
        far=repeats > 2 * usual,
        paired=between(paired),
        mean_gap=between(_ratio(gaps, pairs)),
        pairs=between(pairs),
        tokens=between(_ratio(tokens, pairs)),
        input_tokens=float(_ratio(repeats * _averaged(sample, sample.input), pairs)[0]),
    )


def _stops(sample: _Sample, repeats: Sequence[int], rule: Rule, ahead: Forecast) -> list[Stop]:
    """The expected number of rollouts is the sum, over j from 0 to the cap less 1, of the chance that j do not make a
    usable pair: rollouts come in no order, so the first j are any j."""
    odds = ahead.mean(np.ones(len(sample.prompts)))[..., 0]
    waiting = np.concatenate((np.zeros_like(odds[:, :1]), (1 - odds).cumsum(axis=1)), axis=1)
    found = []
    for cap in repeats:
        pairs = _averaged(sample, odds[:, cap])
        spent = _averaged(sample, waiting[:, cap] * sample.output[:, None])
        samples = _averaged(sample, waiting[:, cap])
        fixed = cap * _averaged(sample, sample.output)
        modelled = float((sample.counts < cap).mean())
        for place, gap in enumerate(rule.gaps):
            tokens = between(_ratio(spent[:, place], pairs[:, place]))
            each = float(_ratio(fixed, pairs[:, place])[0])
            found.append(Stop(cap, gap, modelled, between(samples[:, place]), tokens, each))
    return found


def _check(sample: _Sample, rule: Rule, seed: int) -> tuple[int, Between, float] | None:
    """Foretells the commonest number of rollouts from a random half of each prompt's."""
    count = int(np.median(sample.counts))
    known = [prompt for prompt in sample.prompts if prompt.count == count]
    if count < 4:
        return None
    rng = np.random.default_rng(seed)
    halves = _Sample.of([_random_half(prompt, rng) for prompt in known], seed)
    first = Rule(rule.gaps[:1], rule.max_gap)
    foretold = _drawn(halves, forecasts(halves.prompts, count, first))[:, count, 0, 0]
    truth = np.mean([subset_odds(prompt, count, first)[count, 0, 0] for prompt in known])
    return count, between(foretold), float(truth)


def _random_half(prompt: PromptSamples, rng: np.random.Generator) -> PromptSamples:
    chosen = {int(place) for place in rng.permutation(prompt.count)[: prompt.count // 2]}
    members = tuple(member for place, member in enumerate(prompt.members) if place in chosen)
    return replace(prompt, count=prompt.count // 2, members=members)


def between(draws: Floats) -> Between:
    """The first draw, which has each prompt once, and the interval of all others."""
    if not np.isfinite(draws[1:]).any():
        return Between(float(draws[0]), math.nan, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = interval(draws[1:])
    return Between(float(draws[0]), float(low), float(high))


def _ratio(part: Floats, of: Floats) -> Floats:
    return np.divide(part, of, out=np.full_like(part, np.nan), where=of > 1e-12)


def _filled(tokens: Sequence[float]) -> Floats:
    """Prompts that do not tell their tokens are taken to be like the others; all NaN when none does."""
    found = np.array(tokens)
    known = np.isfinite(found)
    return np.where(known, found, found[known].mean() if known.any() else np.nan)

"""What further rollouts of a prompt would give: needed past the number that it has, where no subset can tell.

The prompt's own rollouts stand; each further one repeats one of them, or is drawn from what the other prompts give, as
a Dirichlet process does (a Polya urn): after n rollouts with concentration c, the next is from the others with the
chance c / (c + n). Drawing again from the prompt's own alone is this model at c = 0, and too low: what was not seen yet
could never come.

- Rewards of few kinds: the base is what prompts of the same class give; up to three classes and their bases are fitted
  by maximum likelihood (EM), from thirds of the prompts by mean reward. The concentration differs from prompt to prompt
  (one always gives the same, another anything): how often each value of a grid occurs in each class is fitted along,
  and each prompt then has its own posterior. With rewards of 0 and 1 this is a mixture of beta-binomials.
- Rewards of many values (a reward model's): the base is the prompt's mean plus the others' deviations from theirs, on
  the scale of the prompt's own spread, drawn towards the common one. The concentration and how far it is drawn are
  those that best foretell, from half of each prompt's rollouts, what all of them gave.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from pairing.planning.chances import GAP, PAIRED, Floats, Ints, Rule, joint, subset_odds
from pairing.planning.samples import Member, PromptSamples

__all__ = ["Forecast", "forecast", "forecasts", "half_of"]

_GRID = (0.001, 0.05, 0.15, 0.4, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 100.0)
_CLASSES = 3
_FEWEST_OF_A_CLASS = 20
_CLASS_ROUNDS = 12
_KINDS = 40
"""Different rewards up to which they are kinds of their own."""
_SPREADS = (1.0, 4.0, 1000.0)
"""How many rollouts' worth the common spread counts beside a prompt's own; the last leaves none to the prompt."""
_UNFITTED = (4.0, 4.0)
_POINTS = 31
"""Quantiles of deviations that stand for the base."""
_ROUNDS = 100
_NEGLIGIBLE = 1e-3
_LEAST = 1e-300
_CHUNK = 128
_FITTED = 300
"""Prompts that the concentration of many-valued rewards is fitted on."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`odds` (concentrations, prompts, repeats 0 to most, gaps, 2): for fewer repeats than a prompt has they are exact,
    and the same at each concentration. `likelihood` (prompts, concentrations) is up to a factor for each prompt."""

    odds: Floats
    likelihood: Floats

    def weights(self, times: Floats, rounds: int = _ROUNDS) -> Floats:
        """The share of prompts with each concentration, where prompt i counts `times[i]` times: half way between EM's,
        which make too much of few rollouts, and the single likeliest, which knows no prompts that differ."""
        shares = np.full(self.likelihood.shape[1], 1 / self.likelihood.shape[1])
        for _ in range(rounds if len(shares) > 1 else 0):
            shares = times @ self.posterior(shares) / times.sum()
        alone = np.argmax(times @ np.log(np.maximum(self.likelihood, _LEAST)))
        return np.asarray((shares + np.eye(len(shares))[alone]) / 2)

    def posterior(self, shares: Floats) -> Floats:
        """(prompts, concentrations): how likely each is, the shares known."""
        found = self.likelihood * shares
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def mean(self, times: Floats) -> Floats:
        """(prompts, repeats, gaps, 2): the odds of each prompt."""
        return np.asarray(np.einsum("pc,cpkgw->pkgw", self.posterior(self.weights(times)), self.odds))


@dataclass(frozen=True, slots=True)
class _Urn:
    """Prompts on levels (prompts, levels): their values, how many of each prompt's rollouts have one and may be chosen,
    and be rejected, and the same of one rollout of the base."""

    values: Floats
    own: tuple[Floats, Floats]
    base: tuple[Floats, Floats]
    counts: Ints

    def part(self, which: Ints) -> _Urn:
        own, base = [(sides[0][which], sides[1][which]) for sides in (self.own, self.base)]
        return _Urn(self.values[which], own, base, self.counts[which])


def forecasts(prompts: Sequence[PromptSamples], most: int, rule: Rule) -> list[Forecast]:
    """The forecast to tell, and for rewards of few kinds the one with the other number of classes: how far they are
    apart is part of what is not known. Classes are told from 4 rollouts of a prompt on, and from 3 different rewards;
    of less they would be made up."""
    different = _different(prompts)
    if not 2 < different <= _KINDS or len(prompts) < _CLASSES * _FEWEST_OF_A_CLASS:
        return [forecast(prompts, most, rule)]
    several = np.median([prompt.count for prompt in prompts]) >= 4
    return [forecast(prompts, most, rule, classes) for classes in ((_CLASSES, 1) if several else (1, _CLASSES))]


def _different(prompts: Sequence[PromptSamples]) -> int:
    return len({member.reward for prompt in prompts for member in prompt.members})


def forecast(prompts: Sequence[PromptSamples], most: int, rule: Rule, classes: int = 1) -> Forecast:
    """What `most` rollouts of each prompt would give. `prompts` is not empty."""
    exact = np.stack([subset_odds(prompt, most, rule) for prompt in prompts])
    if _different(prompts) <= _KINDS:
        urns, logs = _of_kinds(prompts, classes)
        full = Forecast(np.empty((logs.shape[1], 0)), _likelihood(logs))
        shares = full.weights(np.ones(len(prompts)))
        taken = [place for place, share in enumerate(shares) if share > _NEGLIGIBLE]
        parts = [(urns[place // len(_GRID)], _GRID[place % len(_GRID)]) for place in taken]
        likelihood = full.likelihood[:, taken]
    else:
        concentration, weight = _fitted(prompts, rule)
        parts, likelihood = [(_of_deviations(prompts, weight), concentration)], np.ones((len(prompts), 1))
    odds = np.stack([_completed(exact, urn, concentration, rule) for urn, concentration in parts])
    return Forecast(odds, likelihood)


def half_of(prompt: PromptSamples) -> PromptSamples:
    """Every second of the prompt's rollouts, unusable ones in proportion."""
    unusable = [None] * (prompt.count - len(prompt.members))
    half = [*prompt.members, *unusable][::2][: prompt.count // 2]
    return replace(prompt, count=len(half), members=tuple(each for each in half if each is not None))


def _completed(exact: Floats, urn: _Urn, concentration: float, rule: Rule) -> Floats:
    """`exact` (prompts, repeats, gaps, 2) with what lies past each prompt's rollouts filled in."""
    done, most = exact.copy(), exact.shape[1] - 1
    for count in np.unique(urn.counts):
        places = np.flatnonzero(urn.counts == count)
        for start in range(0, len(places) if count < most else 0, _CHUNK):
            which = places[start : start + _CHUNK]
            done[which, count + 1 :] = _further(urn.part(which), int(count), most - int(count), concentration, rule)
    return done


def _further(urn: _Urn, count: int, most: int, concentration: float, rule: Rule) -> Floats:
    """(prompts, 1 to `most` further rollouts, gaps, 2), for prompts that have `count` each."""
    usable = rule.usable(urn.values)
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.nan_to_num(urn.values[:, :, None] - urn.values[:, None, :], posinf=0.0, neginf=0.0)
    avoiding = (_either(urn.own) == 0).astype(np.float64)  # the prompt's own are there, whatever comes
    fresh = concentration * np.minimum(_either(urn.base), 1.0)
    found = np.empty((len(urn.counts), most, len(rule.gaps), 2))
    for further in range(most):
        total = count + concentration + further
        avoiding = avoiding * ((total - fresh) / total)
        chance = joint(avoiding)
        found[:, further, :, PAIRED] = np.einsum("pij,gpij->pg", chance, usable)
        found[:, further, :, GAP] = np.einsum("pij,gpij->pg", chance * gap, usable)
    return found


def _either(sides: tuple[Floats, Floats]) -> Floats:
    """(prompts, a, b): what may be chosen at level a or more, and what may be rejected under level b."""
    choose, reject = sides
    none = np.zeros((len(choose), 1))
    above = np.concatenate((choose[:, ::-1].cumsum(axis=1)[:, ::-1], none), axis=1)
    below = np.concatenate((none, reject.cumsum(axis=1)), axis=1)
    return np.asarray(above[:, :, None] + below[:, None, :])


def _of_kinds(prompts: Sequence[PromptSamples], classes: int) -> tuple[list[_Urn], Floats]:
    """An urn for each class of prompts, of rewards that are few; and the log-likelihood (prompts, classes and the
    concentrations of each)."""
    kinds: dict[Member | None, int] = {}
    held = [Counter(kinds.setdefault(member, len(kinds)) for member in _outcomes(prompt)) for prompt in prompts]
    counts = np.zeros((len(prompts), len(kinds)))
    for place, found in enumerate(held):
        counts[place, list(found)] = list(found.values())
    values = sorted({member.reward for member in kinds if member is not None})
    choose, reject = np.zeros((len(kinds), len(values))), np.zeros((len(kinds), len(values)))
    for member, kind in kinds.items():
        if member is not None:
            choose[kind, values.index(member.reward)] = member.choose
            reject[kind, values.index(member.reward)] = member.reject
    own = counts @ choose, counts @ reject
    bases, logs = _classes(counts, np.array([_mean(prompt) for prompt in prompts]), classes)
    levels, numbers = np.broadcast_to(np.array(values), own[0].shape), counts.sum(axis=1).astype(np.int64)
    urns = []
    for base in bases:
        sides = [np.broadcast_to(each, own[0].shape) for each in (base @ choose, base @ reject)]
        urns.append(_Urn(levels, own, (sides[0], sides[1]), numbers))
    return urns, logs


def _classes(counts: Floats, means: Floats, classes: int) -> tuple[Floats, Floats]:
    """The base of each class of prompts, by EM from thirds of them by mean reward; and the log-likelihoods."""
    common = (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0)
    ranks = np.argsort(np.argsort(means, kind="stable"), kind="stable")
    belongs = np.eye(classes)[ranks * classes // len(counts)]
    for _ in range(_CLASS_ROUNDS if classes > 1 else 1):
        seen = belongs.T @ counts + common  # one rollout's worth of all others: no kind is impossible in a class
        bases = seen / seen.sum(axis=1, keepdims=True)
        logs = np.concatenate([_logs(counts, base) for base in bases], axis=1)
        full = Forecast(np.empty((logs.shape[1], 0)), _likelihood(logs))
        posterior = full.posterior(full.weights(np.ones(len(counts)), _CLASS_ROUNDS))
        belongs = posterior.reshape(len(counts), classes, len(_GRID)).sum(axis=2)
    return bases, logs


def _outcomes(prompt: PromptSamples) -> list[Member | None]:
    return [*prompt.members, *[None] * (prompt.count - len(prompt.members))]


def _likelihood(logs: Floats) -> Floats:
    """Each prompt's largest is 1."""
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _logs(counts: Floats, base: Floats) -> Floats:
    """(prompts, concentrations): the log-likelihood of a Dirichlet-multinomial, up to a constant for each prompt."""
    logs = np.zeros((len(counts), len(_GRID)))
    totals = counts.sum(axis=1)
    for drawn in range(int(totals.max())):
        prompts, kinds = np.nonzero(counts > drawn)
        for place, concentration in enumerate(_GRID):
            seen = np.log(concentration * base[kinds] + drawn)
            logs[:, place] += np.bincount(prompts, seen, len(counts))
            logs[:, place] -= np.where(totals > drawn, math.log(concentration + drawn), 0.0)
    return logs


def _of_deviations(prompts: Sequence[PromptSamples], weight: float) -> _Urn:
    """The urn of rewards of many values: own levels and those of the base stand side by side, in order. `weight` is
    that of the common spread."""
    means = [_mean(prompt) for prompt in prompts]
    scales = _scales(prompts, means, weight)
    deviations, shares = _base_of(prompts, means, scales)
    width = max(len(prompt.members) for prompt in prompts)
    values = np.full((len(prompts), width + len(deviations)), math.fsum(means) / len(means))
    own, base = np.zeros((2, *values.shape)), np.zeros((2, *values.shape))
    for place, (prompt, mean, scale) in enumerate(zip(prompts, means, scales, strict=True)):
        for at, member in enumerate(prompt.members):
            values[place, at] = member.reward
            own[:, place, at] = member.choose, member.reject
        values[place, width:] = mean + scale * deviations
        base[:, place, width:] = np.array(shares)[:, None] / len(deviations)
    order = np.argsort(values, axis=1, kind="stable")
    sides = [np.take_along_axis(side, order, axis=1) for side in (*own, *base)]
    counts = np.array([prompt.count for prompt in prompts])
    return _Urn(np.take_along_axis(values, order, axis=1), (sides[0], sides[1]), (sides[2], sides[3]), counts)


def _scales(prompts: Sequence[PromptSamples], means: Sequence[float], weight: float) -> list[float]:
    """The spread of each prompt: its own sum of squares, and `weight` times the common variance."""
    squares = [
        math.fsum((member.reward - mean) ** 2 for member in prompt.members)
        for prompt, mean in zip(prompts, means, strict=True)
    ]
    free = [max(len(prompt.members) - 1, 0) for prompt in prompts]
    common = math.fsum(squares) / max(sum(free), 1)
    return [math.sqrt((weight * common + own) / (weight + f)) for own, f in zip(squares, free, strict=True)]


def _base_of(
    prompts: Sequence[PromptSamples], means: Sequence[float], scales: Sequence[float]
) -> tuple[Floats, tuple[float, float]]:
    """Quantiles of the deviations from the prompts' means in units of their spreads; the shares of rollouts that may be
    chosen, and rejected. A deviation from a mean of n is too small by sqrt(1 - 1/n)."""
    found = [
        (member.reward - mean) / (scale * math.sqrt(1 - 1 / len(prompt.members)))
        for prompt, mean, scale in zip(prompts, means, scales, strict=True)
        for member in prompt.members
        if len(prompt.members) > 1 and scale > 0
    ]
    count = sum(prompt.count for prompt in prompts)
    shares = [sum(getattr(m, side) for prompt in prompts for m in prompt.members) for side in ("choose", "reject")]
    steps = (np.arange(_POINTS) + 0.5) / _POINTS
    return np.quantile(found or [0.0], steps), (shares[0] / count, shares[1] / count)


def _mean(prompt: PromptSamples) -> float:
    rewards = [member.reward for member in prompt.members]
    return math.fsum(rewards) / len(rewards) if rewards else 0.0


def _fitted(prompts: Sequence[PromptSamples], rule: Rule) -> tuple[float, float]:
    """The concentration, and the weight of the common spread, that best foretell all of each prompt's rollouts from
    half of them: yield and mean gap."""
    known = [prompt for prompt in prompts if prompt.count >= 4][:_FITTED]
    if not known:
        return _UNFITTED
    halves, at = [half_of(prompt) for prompt in known], [prompt.count for prompt in known]
    exact = np.stack([subset_odds(half, max(at), rule) for half in halves])
    truth = np.mean([subset_odds(prompt, prompt.count, rule)[prompt.count] for prompt in known], axis=0)
    urns = {weight: _of_deviations(halves, weight) for weight in _SPREADS}

    def miss(choice: tuple[float, float]) -> float:
        done = _completed(exact, urns[choice[1]], choice[0], rule)
        foretold = done[np.arange(len(known)), at].mean(axis=0)
        return float((((foretold - truth) / np.maximum(truth, 1e-3)) ** 2).sum())

    return min(product(_GRID, _SPREADS), key=miss)

"""The figures of a report as plain numbers: what thresholds ask, what a diagnosis weighs, and `--json` prints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pairing.stats.gather import StatsReport
from pairing.stats.histogram import Histogram
from pairing.stats.prompts import PromptList

__all__ = ["Figures", "as_json"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares are from 0 to 1; None where there is nothing to tell of."""

    pairs: int
    pair_yield: float | None
    """Of all prompts."""
    mean_gap: float | None
    unique: float | None
    truncated: float | None
    """Of all answers."""
    chosen_truncated: float | None
    rejected_truncated: float | None
    chosen_longer: float | None
    all_same: float | None
    saturated: float | None
    hopeless: float | None
    """These three of the prompts with two rewards."""

    @classmethod
    def of(cls, report: StatsReport) -> Figures:
        funnel, n = report.funnel, report.numbers
        return cls(
            pairs=funnel.pairs,
            pair_yield=_share(funnel.paired, funnel.groups),
            mean_gap=funnel.gaps.mean if funnel.pairs else None,
            unique=n.variety.unique.mean if n.variety.unique.count else None,
            truncated=_share(n.truncated, n.answers),
            chosen_truncated=_share(n.side_truncated[0], funnel.pairs),
            rejected_truncated=_share(n.side_truncated[1], funnel.pairs),
            chosen_longer=n.lengths.chosen_longer,
            all_same=_share(n.all_same, n.judged),
            saturated=_share(n.saturated.count, n.judged),
            hopeless=_share(n.hopeless.count, n.judged),
        )


def as_json(report: StatsReport) -> dict[str, Any]:
    """What `--json` prints: only finite numbers, null for what cannot be told."""
    funnel, n, f = report.funnel, report.numbers, Figures.of(report)
    found = {
        "strategy": funnel.strategy,
        "prompts": funnel.groups,
        "rollouts": funnel.rollouts,
        "usable": funnel.usable,
        "pairs": funnel.pairs,
        "prompts_with_a_pair": f.pair_yield,
        "group_drops": dict(funnel.group_drops),
        "sample_drops": dict(funnel.sample_drops),
        "line_drops": dict(funnel.line_drops) | ({"broken": funnel.broken} if funnel.broken else {}),
        "rewards": _histogram(n.rewards) | {"mean": n.reward_spread.mean, "std": n.reward_spread.std},
        "gaps": _histogram(n.gaps) | {"mean": f.mean_gap},
        "prompt_std": _histogram(n.stds) | {"mean": n.std_spread.mean},
        "judged_prompts": n.judged,
        "all_same": f.all_same,
        "success": n.asked.success,
        "failure": n.asked.failure,
        "saturated": _listed(n.saturated) | {"share": f.saturated},
        "hopeless": _listed(n.hopeless) | {"share": f.hopeless},
        "pass_at": {str(at.k): {"value": at.value, "prompts": at.prompts} for at in n.passes.at()},
        "chosen_longer": f.chosen_longer,
        "same_length": _share(n.lengths.equal, n.lengths.pairs),
        "mean_chosen_length": n.lengths.chosen.mean if n.lengths.pairs else None,
        "mean_rejected_length": n.lengths.rejected.mean if n.lengths.pairs else None,
        "reward_length_correlation": n.lengths.correlation,
        "truncated": f.truncated,
        "chosen_truncated": f.chosen_truncated,
        "rejected_truncated": f.rejected_truncated,
        **_variety(report),
        "finish_reasons": dict(n.usage.finish_reasons),
        "flags": dict(n.usage.flags),
        "rollouts_with_usage": n.usage.known,
        "input_tokens": n.usage.input_tokens,
        "output_tokens": n.usage.output_tokens,
        "pairs_per_million_output_tokens": n.usage.per_million(funnel.pairs),
    }
    return {name: _finite(value) for name, value in found.items()}


def _variety(report: StatsReport) -> dict[str, Any]:
    variety = report.numbers.variety
    spreads = {"unique_answers": variety.unique, "unique_last_lines": variety.last_lines}
    spreads |= {f"distinct_{n}": spread for n, spread in variety.distinct.items()}
    spreads["compression_ratio"] = variety.compression
    return {name: spread.mean if spread.count else None for name, spread in spreads.items()}


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {
        "count": histogram.count,
        "min": histogram.minimum,
        "max": histogram.maximum,
        "quartiles": [histogram.quantile(share) for share in (0.25, 0.5, 0.75)],
        "bars": [[bar.low, bar.high, bar.count] for bar in histogram.bars()],
    }


def _listed(found: PromptList) -> dict[str, Any]:
    first = [{"prompt_id": each.prompt_id, "task_index": each.task_index} for each in found.first]
    return {"count": found.count, "first": first}


def _share(part: int, of: int) -> float | None:
    return part / of if of else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value

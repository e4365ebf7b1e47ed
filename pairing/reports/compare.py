"""`pairmill compare`: several strategies over the same groups, in one pass, with the same guards: what each yields, and
which way its pairs lean. Nothing is written."""

from __future__ import annotations

import argparse
import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.errors import EXIT_PARTIAL
from collector.terminal import plain, print_line
from pairing.messages import answer_text
from pairing.options.flags import pair_settings
from pairing.outcomes import Outcome, Policy, pair_group
from pairing.pairs import Pair
from pairing.reading.files import ReadTally, input_files
from pairing.reading.groups import Group, NotInOrder, groups_in_order, iter_groups
from pairing.reading.rollouts import BrokenLine, Rollout
from pairing.reports.numbers import mean_of, rounded
from pairing.strategies.base import reward_of

__all__ = ["DEFAULT", "Column", "compare", "compared", "render"]

DEFAULT = ("best_worst", "best_random", "best_second", "mu_sigma", "length_matched", "all_above_gap", "auto")
_QUARTERS = (0.25, 0.5, 0.75)
_Key = tuple[int | None, int | None]


@dataclass(slots=True)
class Column:
    """One strategy's numbers while they grow. Lengths are characters of the final text."""

    strategy: str
    prompts: int = 0
    paired: int = 0
    as_best_worst: int = 0
    longer: int = 0
    cut: list[int] = field(default_factory=lambda: [0, 0])
    """Truncated answers on the chosen and the rejected side."""
    gaps: array[float] = field(default_factory=lambda: array("d"))
    chosen: array[float] = field(default_factory=lambda: array("d"))
    rejected: array[float] = field(default_factory=lambda: array("d"))
    lengths: tuple[array[float], array[float]] = field(default_factory=lambda: (array("d"), array("d")))

    def add(self, outcome: Outcome, reference: set[_Key]) -> None:
        """Count one prompt; `reference` are best_worst's pairs of it."""
        self.prompts += 1
        self.paired += bool(outcome.kept)
        for kept in outcome.kept:
            self._add_pair(kept.pair)
            self.as_best_worst += _key(kept.pair) in reference

    def _add_pair(self, pair: Pair) -> None:
        self.gaps.append(pair.gap)
        self.chosen.append(reward_of(pair.chosen))
        self.rejected.append(reward_of(pair.rejected))
        lengths = [_length(side) for side in (pair.chosen, pair.rejected)]
        for side, length in enumerate(lengths):
            self.lengths[side].append(length)
        self.longer += lengths[0] > lengths[1]
        self.cut[0] += pair.chosen.truncated
        self.cut[1] += pair.rejected.truncated

    def numbers(self) -> dict[str, Any]:
        """What is printed with --json; shares from 0 to 1, and None where there is no pair to tell of."""
        pairs = len(self.gaps)
        return {
            "strategy": self.strategy,
            "pairs": pairs,
            "prompts": self.prompts,
            "prompts_with_a_pair": self.paired / self.prompts if self.prompts else None,
            "mean_gap": mean_of(self.gaps),
            "mean_chosen_reward": mean_of(self.chosen),
            "mean_rejected_reward": mean_of(self.rejected),
            "chosen_longer": self.longer / pairs if pairs else None,
            "mean_chosen_length": mean_of(self.lengths[0]),
            "mean_rejected_length": mean_of(self.lengths[1]),
            "chosen_truncated": self.cut[0] / pairs if pairs else None,
            "rejected_truncated": self.cut[1] / pairs if pairs else None,
            "same_as_best_worst": self.as_best_worst / pairs if pairs else None,
            "gap_quartiles": _quartiles(self.gaps),
            "rejected_reward_quartiles": _quartiles(self.rejected),
            "rejected_length_quartiles": _quartiles(self.lengths[1]),
        }


def compare(args: argparse.Namespace) -> int:
    """The command. Exit code 3 when no strategy gives a pair."""
    specs = list(dict.fromkeys(args.strategies or DEFAULT))
    policies = {spec: pair_settings(args, strategy=spec).policy() for spec in specs}
    reference = pair_settings(args, strategy="best_worst").policy()
    try:
        columns = compared(groups_in_order(input_files(args.input), ReadTally()), policies, reference)
    except NotInOrder:
        columns = compared(iter_groups(args.input), policies, reference)
    if args.json:
        print_line(json.dumps([column.numbers() for column in columns]))
    else:
        print_line(render(columns))
    return 0 if any(column.paired for column in columns) else EXIT_PARTIAL


def compared(groups: Iterable[Group], policies: dict[str, Policy], reference: Policy) -> list[Column]:
    """One pass: each group is paired by every policy, its answers decoded once."""
    columns = {spec: Column(spec) for spec in policies}
    for group in groups:
        usual = {_key(kept.pair) for kept in pair_group(group, reference).kept}
        for spec, policy in policies.items():
            columns[spec].add(pair_group(group, policy), usual)
    return list(columns.values())


_HEADINGS = ("strategy", "pairs", "prompts", "gap", "chosen", "rejected", "longer", "lengths", "cut", "as b_w")
_LEGEND = """
prompts: with a pair   gap, chosen, rejected: mean rewards   longer: the chosen side is longer
lengths: mean characters   cut: truncated; both chosen/rejected   as b_w: best_worst makes it too"""


def render(columns: Sequence[Column]) -> str:
    """A table with a line for each strategy, then the quartiles that thresholds are taken from."""
    rows = [_HEADINGS, *(_cells(column.numbers()) for column in columns)]
    found = [column.numbers() for column in columns]
    quartiles = [
        ("quartiles", "gap", "rejected reward", "rejected length"),
        *((plain(n["strategy"]), *(_quarters(n[f"{what}_quartiles"]) for what in _QUARTILES)) for n in found),
    ]
    return "\n".join([*_aligned(rows), _LEGEND, "", *_aligned(quartiles)])


_QUARTILES = ("gap", "rejected_reward", "rejected_length")


def _cells(n: dict[str, Any]) -> tuple[str, ...]:
    if not n["pairs"]:
        return (plain(n["strategy"]), "0", *["-"] * (len(_HEADINGS) - 2))
    return (
        plain(n["strategy"]),
        f"{n['pairs']:,}",
        f"{n['prompts_with_a_pair']:.1%}",
        *(rounded(n[f"mean_{what}"]) for what in ("gap", "chosen_reward", "rejected_reward")),
        f"{n['chosen_longer']:.0%}",
        f"{n['mean_chosen_length']:.0f}/{n['mean_rejected_length']:.0f}",
        f"{n['chosen_truncated']:.0%}/{n['rejected_truncated']:.0%}",
        f"{n['same_as_best_worst']:.0%}",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _quarters(values: list[float] | None) -> str:
    whole = range(1000, 1_000_000)  # `.3g` would cut their digits
    return "-" if values is None else " ".join(f"{v:.0f}" if int(v) in whole else f"{v:.3g}" for v in values)


def _quartiles(values: array[float]) -> list[float] | None:
    """The values that stand at a quarter, a half and three quarters of their order."""
    if not values:
        return None
    ordered = sorted(values)
    return [ordered[int(share * (len(ordered) - 1) + 0.5)] for share in _QUARTERS]


def _key(pair: Pair) -> _Key:
    return pair.chosen.rollout_index, pair.rejected.rollout_index


def _length(rollout: Rollout) -> int:
    try:
        return len(answer_text(rollout))
    except (BrokenLine, RecursionError):
        return 0

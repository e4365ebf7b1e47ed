"""`pairmill plan`: reads rollouts, foretells, and gives what is printed. Sends and writes nothing."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from collector.errors import InputError, UsageError
from pairing.planning.asked import Asked
from pairing.planning.figures import Plan, Row, Stop, plan_by_resampling, plan_by_rewards
from pairing.planning.render import Prices, render_plan
from pairing.planning.samples import MOST_PROMPTS, Pilot
from pairing.reading.files import ReadTally, input_files
from pairing.reading.groups import Group, iter_groups
from pairing.reading.positional import groups_by_position

__all__ = ["Planned", "plan"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What the command prints, and whether any pair is foretold at all."""

    text: str
    any_pair: bool


def plan(args: argparse.Namespace) -> Planned:
    """Raises UsageError, InputError."""
    prices = _prices(args)
    asked = Asked.of(args, args.min_gap)
    pilot = asked.read(_groups(args), args.repeats, args.seed)
    if not pilot.prompts:
        raise InputError(f"{args.input[0]}: holds no rollout to plan from: give a rollouts file (--input)")
    rule = asked.rule
    if rule is None:
        found = plan_by_resampling(pilot.prompts, args.repeats, asked.gaps, args.seed)
    else:
        found = plan_by_rewards(pilot.prompts, args.repeats, rule, args.seed)
    notes = notes_on(pilot, found, args, by_rewards=rule is not None)
    if args.json:
        text = json.dumps(as_json(pilot, found, notes, prices), allow_nan=False)
    else:
        text = render_plan(pilot, found, notes, prices)
    return Planned(text, any(row.paired.value > 0 for row in found.rows))


def _groups(args: argparse.Namespace) -> Iterator[Group]:
    if args.group_size is None:
        return iter_groups(args.input)
    return groups_by_position(input_files(args.input, include_incomplete=False), args.group_size, ReadTally())


def notes_on(pilot: Pilot, found: Plan, args: argparse.Namespace, *, by_rewards: bool) -> list[str]:
    """What a reader must know about where the figures come from."""
    notes = []
    if pilot.seen > len(pilot.prompts):
        notes.append(f"a random sample of {MOST_PROMPTS:,} of the {pilot.seen:,} prompts stands for all")
    if pilot.otherwise:
        notes.append(
            f"{pilot.otherwise} prompts pair otherwise than their rewards say: a guard reads their texts"
            " (pairmill pair counts them)"
        )
    if not by_rewards:
        notes.append(f"--strategy {args.strategy} with these guards asks more than rewards: smaller groups were paired")
        told = {row.repeats for row in found.rows}
        missing = [str(each) for each in args.repeats if each not in told]
        if missing:
            notes.append(f"repeats {', '.join(missing)}: no prompt has so many rollouts, and none can be foretold")
    elif any(row.modelled for row in found.rows) and len(pilot.prompts) > found.modelled_prompts:
        notes.append(f"rows of the model are told from {found.modelled_prompts:,} of the prompts")
    if any(row.far for row in found.rows):
        notes.append("far: past twice the rollouts that prompts have; how rare the rare is, they can hardly tell")
    if math.isnan(found.rows[0].tokens.value) if found.rows else True:
        notes.append("tokens: no row tells its usage, so none are told of")
    return notes


def as_json(pilot: Pilot, found: Plan, notes: list[str], prices: Prices) -> dict[str, Any]:
    """What `--json` prints: finite numbers, null for what cannot be told, `[value, low, high]` for an interval."""
    check = found.check
    return {
        "prompts": pilot.seen,
        "rollouts": pilot.rollouts,
        "rows": [_row(row, prices) for row in found.rows],
        "early_stop": [_stop(stop) for stop in found.stops],
        "check": None if check is None else {"repeats": check[0], "foretold": _numbers(check[1]), "found": check[2]},
        "notes": notes,
    }


def _row(row: Row, prices: Prices) -> dict[str, Any]:
    return {
        "repeats": row.repeats,
        "min_gap": row.gap,
        "modelled": row.modelled,
        "far": row.far,
        "prompts_with_a_pair": _numbers(row.paired),
        "mean_gap": _numbers(row.mean_gap),
        "pairs_per_prompt": _numbers(row.pairs),
        "output_tokens_per_pair": _numbers(row.tokens),
        "input_tokens_per_pair": _number(row.input_tokens),
        "price_per_pair": _number(prices.of_pair(row)),
        "prompts_wanted": _number(prices.prompts_for(row)),
        "output_tokens_wanted": _number(prices.tokens_for(row)),
        "price_wanted": _number(prices.price_for(row)),
    }


def _stop(stop: Stop) -> dict[str, Any]:
    return {
        "max_repeats": stop.cap,
        "until_gap": stop.gap,
        "modelled": stop.modelled,
        "samples_per_prompt": _numbers(stop.samples),
        "output_tokens_per_pair": _numbers(stop.tokens),
        "fixed_output_tokens_per_pair": _number(stop.fixed_tokens),
    }


def _numbers(values: tuple[float, ...]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)


def _prices(args: argparse.Namespace) -> Prices:
    for flag, value in (
        ("--pairs-wanted", args.pairs_wanted),
        ("--price-per-million", args.price_per_million),
        ("--input-price-per-million", args.input_price_per_million),
    ):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"{flag} {value:g}: give a number over 0")
    return Prices(args.pairs_wanted, args.price_per_million, args.input_price_per_million)

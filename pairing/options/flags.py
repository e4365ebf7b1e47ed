"""The flags of the pairing stage; those of its guards are in `guards`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pairing.options.guards import add_guard_options, guards_from
from pairing.options.paths import given_path

if TYPE_CHECKING:
    from pairing.settings import PairSettings

__all__ = [
    "add_compare_options",
    "add_explain_options",
    "add_group_size",
    "add_pair_options",
    "add_policy_options",
    "add_strategy",
    "pair_settings",
]

# The names are those of the registries, written out so that --help need not import them; a test holds them equal.

_STRATEGIES = (
    "best_worst",
    "best_random",
    "best_second",
    "nbest_worst",
    "adjacent",
    "all_above_gap",
    "correct_incorrect",
    "mu_sigma",
    "length_matched",
    "rip",
    "air",
    "auto",
)
_FORMATS = (
    "axolotl",
    "axolotl-intel",
    "fireworks",
    "llama-factory",
    "llama-factory-alpaca",
    "ms-swift",
    "nemo-aligner",
    "nemo-rl",
    "nemo-rl-binary",
    "open-instruct",
    "openai",
    "openrlhf",
    "oumi",
    "recipe",
    "together",
    "torchtune",
    "trl",
    "trl-implicit",
    "trl-kto",
    "trl-standard",
    "verl",
)
_TRAJECTORIES = ("split", "whole", "last-turn")


def add_pair_options(parser: argparse.ArgumentParser) -> None:
    """Every flag that `pairmill pair` and `pairmill run` share."""
    group = parser.add_argument_group("pairing")
    add_strategy(group)
    add_policy_options(parser, group)
    group.add_argument(
        "--validation",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="put this share of the prompts into a file of their own: pairs.train and pairs.validation (default 0)",
    )
    group.add_argument("--card", action="store_true", help="write a Hugging Face dataset card, README.md, beside them")
    group.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that pair one file in task order (default 1)",
    )
    group.add_argument(
        "--index-memory",
        type=int,
        default=256,
        metavar="MIB",
        help="what the index of rows in no order may take, 28 bytes each, before it goes to disk (default 256)",
    )


def add_policy_options(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup) -> None:
    """How groups become pairs, but for the strategy; the commands that write none have these too."""
    group.add_argument(
        "--format",
        choices=_FORMATS,
        default="trl",
        metavar="NAME",
        help="what the pairs are written for (default trl; pairmill formats lists them)",
    )
    group.add_argument(
        "--unfit",
        default="skip",
        metavar="POLICY",
        help="a pair that the format cannot hold: skip (default; counted), error, last-turn, inline-reasoning;"
        " several with commas between",
    )
    group.add_argument(
        "--trajectory",
        choices=_TRAJECTORIES,
        default="split",
        metavar="HOW",
        help="answers of several turns: split (default; turns that both sides share move into the prompt), whole,"
        " last-turn",
    )
    group.add_argument("--pair-seed", type=int, default=0, metavar="N", help="for strategies that draw (default 0)")
    add_guard_options(parser)


def add_group_size(parser: argparse.ArgumentParser) -> None:
    """For the commands that read rollouts by position too."""
    parser.add_argument(
        "--group-size",
        type=int,
        metavar="N",
        help="group each N rows that stand together: for files whose rows carry no index and no id",
    )


def add_strategy(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--strategy",
        default="best_worst",
        metavar="SPEC",
        help=f"{', '.join(_STRATEGIES)}, or module:function; parameters as best_random:n=2 (default best_worst;"
        " docs/strategies.md)",
    )


def add_explain_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `pairmill explain`: a prompt, and those that pairing has, but for what is written."""
    parser.add_argument("prompt_id", nargs="?", metavar="PROMPT_ID", help="meta.prompt_id of a pair, or its beginning")
    parser.add_argument("--task", type=int, metavar="N", help="the task index, in its place")
    parser.add_argument("--input", type=given_path, nargs="+", required=True, metavar="PATH", help="rollouts, JSONL")
    group = parser.add_argument_group("pairing")
    add_strategy(group)
    add_policy_options(parser, group)


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `pairmill compare`: several strategies, and those that pairing has, but for what is written."""
    parser.add_argument("--input", type=given_path, nargs="+", required=True, metavar="PATH", help="rollouts, JSONL")
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of the table")
    group = parser.add_argument_group("pairing")
    group.add_argument(
        "--strategy",
        dest="strategies",
        action="append",
        metavar="SPEC",
        help="one to compare; several times (default: a set of seven)",
    )
    add_policy_options(parser, group)


def pair_settings(args: argparse.Namespace, strategy: str | None = None) -> PairSettings:
    """What the pairing flags ask for, checked: `run` must know before it collects. Raises UsageError."""
    from pairing.formats.policy import UnfitPolicy
    from pairing.settings import PairSettings

    own = ("validation", "card", "workers", "index_memory", "group_size")
    written = {name: getattr(args, name) for name in own if hasattr(args, name)}
    return PairSettings(
        strategy=args.strategy if strategy is None else strategy,
        min_gap=args.min_gap,
        gap_kind=args.gap_kind,
        guards=guards_from(args),
        seed=args.pair_seed,
        format=args.format,
        unfit=UnfitPolicy.parse(args.unfit, args.trajectory),
        **written,
    )

"""The flags of the pairing stage; those of its guards are in `guard_options`."""

from __future__ import annotations

import argparse

from pairing.guard_options import add_guard_options

__all__ = ["add_pair_options", "add_policy_options"]

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


def add_pair_options(parser: argparse.ArgumentParser) -> None:
    """Every flag that `pairmill pair` and `pairmill run` share."""
    group = parser.add_argument_group("pairing")
    group.add_argument(
        "--strategy",
        default="best_worst",
        metavar="SPEC",
        help=f"{', '.join(_STRATEGIES)}, or module:function; parameters as best_random:n=2 (default best_worst;"
        " docs/strategies.md)",
    )
    add_policy_options(parser, group)
    group.add_argument(
        "--validation",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="put this share of the prompts into a file of their own: pairs.train and pairs.validation (default 0)",
    )
    group.add_argument("--card", action="store_true", help="write a Hugging Face dataset card, README.md, beside them")


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
    group.add_argument("--pair-seed", type=int, default=0, metavar="N", help="for strategies that draw (default 0)")
    add_guard_options(parser)

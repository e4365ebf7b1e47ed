"""The flags of the pairing stage, and the strategy and guards they make."""

from __future__ import annotations

import argparse

__all__ = ["add_pair_options"]

_STRATEGIES = ("best_worst",)
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
    """Every flag that `pairmill pair` and `pairmill run` share. The names are those of the registries, written out so
    that --help need not import them; a test holds them equal."""
    group = parser.add_argument_group("pairing")
    group.add_argument("--strategy", choices=_STRATEGIES, default="best_worst", help="default best_worst")
    group.add_argument(
        "--min-gap", type=float, default=0.15, metavar="X", help="smallest reward gap of a pair (default 0.15)"
    )
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
        "--validation",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="put this share of the prompts into a file of their own: pairs.train and pairs.validation (default 0)",
    )
    group.add_argument("--card", action="store_true", help="write a Hugging Face dataset card, README.md, beside them")
    group.add_argument(
        "--require-complete", type=int, metavar="N", help="pair only prompts that have all their N rollouts"
    )
    group.add_argument(
        "--no-guards",
        dest="guards",
        action="store_false",
        help="decide as the reference recipe does: truncated, empty and identical answers may make pairs",
    )

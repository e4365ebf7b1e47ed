"""The flags of `pairmill stats`."""

from __future__ import annotations

import argparse

from pairing.options.flags import add_group_size, add_policy_options, add_strategy
from pairing.options.paths import given_path

__all__ = ["add_stats_options"]

# The flags of `thresholds.THRESHOLDS`, written out so that --help need not import it; a test holds them equal.
_THRESHOLDS = (
    ("--min-yield", "SHARE", "prompts with a pair, of all prompts"),
    ("--min-pairs", "N", "pairs"),
    ("--min-gap-mean", "X", "mean gap of the pairs"),
    ("--min-unique", "SHARE", "unique answers of a prompt, of its answers"),
    ("--max-truncated", "SHARE", "answers cut at the token limit"),
    ("--max-chosen-longer", "SHARE", "pairs whose chosen side is the longer one"),
    ("--max-all-same", "SHARE", "prompts whose rewards are all equal"),
    ("--max-saturated", "SHARE", "prompts whose every answer is a success"),
    ("--max-hopeless", "SHARE", "prompts whose every answer is a failure"),
)


def add_stats_options(parser: argparse.ArgumentParser) -> None:
    """The inputs, what is told, the thresholds, and the flags that pairing has, but for what is written."""
    parser.add_argument("--input", type=given_path, nargs="+", required=True, metavar="PATH", help="rollouts, JSONL")
    add_group_size(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of the text")
    parser.add_argument(
        "--success", type=float, default=1.0, metavar="X", help="lowest reward of a success (default 1)"
    )
    parser.add_argument(
        "--failure", type=float, default=0.0, metavar="X", help="highest reward of a failure (default 0)"
    )
    parser.add_argument(
        "--list", type=int, default=5, metavar="N", help="saturated and hopeless prompts shown (default 5)"
    )
    parser.add_argument(
        "--write-saturated", type=given_path, metavar="PATH", help="ids of all saturated prompts, JSONL"
    )
    parser.add_argument("--write-hopeless", type=given_path, metavar="PATH", help="ids of all hopeless prompts, JSONL")
    parser.add_argument("--overwrite", action="store_true", help="replace these two files when they exist")
    group = parser.add_argument_group("thresholds: exit code 3, and a line for each that is not met")
    for flag, metavar, what in _THRESHOLDS:
        kind = "at least" if flag.startswith("--min") else "at most"
        group.add_argument(flag, type=float, metavar=metavar, help=f"{kind} this: {what}")
    pairing = parser.add_argument_group("pairing")
    add_strategy(pairing)
    add_policy_options(parser, pairing)

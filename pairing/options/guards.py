"""The flags of filters and guards, and the Guards they make."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pairing.options.paths import given_path

if TYPE_CHECKING:
    from pairing.guards import Guards

__all__ = ["ALLOWED", "add_guard_options", "guards_from"]

ALLOWED = ("empty_text", "failed", "identical_text", "repeated_pair", "truncated_chosen")
"""Guards that stand unless they are switched off, by the name of their field."""


def add_guard_options(parser: argparse.ArgumentParser) -> None:
    """One flag for each guard, its destination named as its field of Guards. docs/pairing.md has the table."""
    group = parser.add_argument_group("filters and guards (docs/pairing.md)")
    group.add_argument(
        "--where",
        metavar="EXPRESSION",
        help="""only rollouts it holds for: 'finish_reason == "stop" and level != "easy"'""",
    )
    group.add_argument(
        "--min-gap", type=float, default=0.15, metavar="X", help="smallest reward gap of a pair (default 0.15)"
    )
    group.add_argument("--max-gap", type=float, metavar="X", help="largest gap of a pair")
    group.add_argument(
        "--gap-kind",
        choices=("absolute", "zscore", "rank"),
        default="absolute",
        help="what both are measured in: rewards (default), the prompt's standard deviations, or its ranks",
    )
    group.add_argument("--min-chosen-reward", type=float, metavar="X", help="lowest reward to choose")
    group.add_argument("--max-rejected-reward", type=float, metavar="X", help="highest reward to reject")
    group.add_argument(
        "--truncated-rejected",
        choices=("allow", "drop", "only"),
        default="allow",
        help="answers cut at the token limit as the rejected side (default allow; never chosen)",
    )
    group.add_argument("--min-length-ratio", type=float, metavar="X", help="lowest chosen over rejected length")
    group.add_argument("--max-length-ratio", type=float, metavar="X", help="highest chosen over rejected length")
    group.add_argument("--max-similarity", type=float, metavar="X", help="most that both sides are alike, 0 to 1")
    group.add_argument(
        "--token-budget", type=int, metavar="N", help="the trainer's maximum length: the sides must differ within it"
    )
    group.add_argument(
        "--tokenizer",
        type=given_path,
        metavar="FILE",
        help="a tokenizer.json that counts it (default: 4 bytes a token)",
    )
    group.add_argument("--max-pairs", type=int, metavar="N", help="most pairs of a prompt")
    group.add_argument("--max-pairs-per-response", type=int, metavar="N", help="most pairs with the same response")
    group.add_argument(
        "--require-complete",
        dest="require_members",
        type=int,
        metavar="N",
        help="pair only prompts that have all their N rollouts",
    )
    group.add_argument(
        "--allow", action="append", choices=ALLOWED, metavar="GUARD", help=f"switch one off: {', '.join(ALLOWED)}"
    )
    group.add_argument(
        "--no-guards",
        dest="guards",
        action="store_false",
        help="switch all of those off, as the reference recipe does",
    )


def guards_from(args: argparse.Namespace) -> Guards:
    """What the flags ask for. The smallest gap and its measure are PairSettings' own. Raises UsageError."""
    from pairing.guards import Guards

    base = Guards() if args.guards else Guards.none()
    own = {field.name for field in fields(Guards)} - {*ALLOWED, "min_gap", "gap_kind"}
    given: dict[str, Any] = {name: getattr(args, name) for name in own}
    return replace(base, **given | dict.fromkeys(args.allow or (), False))

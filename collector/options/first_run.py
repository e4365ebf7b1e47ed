"""What a command brings along for who has no prompts, no verifier or no server yet: the bundled prompts, and the
embedded model."""

from __future__ import annotations

import argparse

from collector.embedded.tasks import prompt_rows
from collector.errors import UsageError
from collector.options.flags import protocol_of
from collector.terminal import print_line

__all__ = ["EMBEDDED", "EMBEDDED_TEMPERATURE", "bring_prompts", "need_verifier", "wants_embedded"]

EMBEDDED = "embedded"
"""What the embedded server is called as an endpoint, and the verifier of its prompts."""
EMBEDDED_TEMPERATURE = 0.8


def bring_prompts(args: argparse.Namespace, limit: int | None = None) -> None:
    """The bundled prompts and their verifier where no --input was given, and says so; the first `limit` of them where
    no other --limit was."""
    if args.input is not None:
        return
    args.input = prompt_rows("train")
    args.verifier = args.verifier or [EMBEDDED]
    if limit is None:
        print_line("prompts: the bundled ones (--input PATH for yours)")
        return
    args.limit = args.limit or limit
    print_line(f"prompts: {args.limit} bundled ones (--input PATH for yours, --limit N for more)")


def wants_embedded(args: argparse.Namespace) -> bool:
    """True when no server was named, and no agent was asked for."""
    return not (protocol_of(args) == "agent" or args.base_url or args.agent_url or args.agent_name)


def need_verifier(args: argparse.Namespace) -> None:
    """Raises UsageError where nothing would give rewards; an agent brings its own."""
    if args.verifier is None and protocol_of(args) != "agent":
        raise UsageError("no verifier: pairs need rewards; give --verifier numeric, exact, regex:pattern=..., ...")

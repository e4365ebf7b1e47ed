"""All flags of a collection run, group by group, and the CollectSettings that they make together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from collector.errors import UsageError
from collector.options import patience, prompt, sampling, server, watching, work
from collector.options.credentials import key_in
from collector.settings import CollectSettings

__all__ = ["add_collect_options", "protocol_of", "settings_from"]

_GROUPS = (server, prompt, sampling, work, patience)


def add_collect_options(parser: argparse.ArgumentParser) -> None:
    """Every flag that `pairmill collect` and `pairmill run` share; --input and --output are the caller's."""
    for group in _GROUPS:
        group.add_options(parser)
    watching.add_options(parser)


def protocol_of(args: argparse.Namespace) -> Any:
    """What --protocol says, or what the other flags imply."""
    return args.protocol or ("agent" if args.agent_name or args.agent_url else "chat")


def settings_from(args: argparse.Namespace, *, base_url: str, output: Path) -> CollectSettings:
    """The settings that the parsed flags ask for. Raises UsageError for a value that makes no sense."""
    given: dict[str, Any] = {}
    for group in _GROUPS:
        given.update(group.read_options(args))
    if given["system_prompt"] is not None and "instructions" in given["params"]:
        raise UsageError("--system-prompt and --param instructions: give one, they say the same")
    for flag, fields in (("--param", given["params"]), ("--extra-body", given["extra_body"])):
        secret = key_in(fields)
        if secret is not None:
            raise UsageError(f"{flag} {secret}: a credential would end up in the run's files: give --header-env")
    if given["api_key"] and "authorization" in given["headers"]:
        raise UsageError("--api-key-env or --api-key-file, and --header-env authorization: give one")
    return CollectSettings(input=args.input, output=output, base_url=base_url, protocol=protocol_of(args), **given)

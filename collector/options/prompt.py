"""The flags that word the prompt: a template, a system prompt, each from a file or from the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from collector.errors import UsageError
from collector.options.parser import given_path, given_text

__all__ = ["add_options", "read_options"]

_YAML = (".yaml", ".yml")


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the prompt")
    group.add_argument(
        "--prompt-template",
        type=given_path,
        metavar="PATH",
        help="makes the user message of each row: a text with {field}, or YAML with the keys user and system",
    )
    group.add_argument(
        "--system-prompt", type=given_text, metavar="TEXT", help="in front of each prompt, instead of the row's own"
    )
    group.add_argument("--system-prompt-file", type=given_path, metavar="PATH", help="a file that holds it")


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    from collector.templates import Template  # late: only a run needs it

    user, system = _read_template(args.prompt_template) if args.prompt_template else (None, None)
    if args.system_prompt and args.system_prompt_file:
        raise UsageError("--system-prompt and --system-prompt-file: give one")
    if args.system_prompt_file:
        system = _read(args.system_prompt_file, "--system-prompt-file")
        Template.parse(system, f"--system-prompt-file {args.system_prompt_file}")
    return {"prompt_template": user, "system_prompt": args.system_prompt or system}


def _read_template(path: Path) -> tuple[str, str | None]:
    """(user, system) of a template file, checked. Raises UsageError, naming the file and the line."""
    from collector.templates import Template

    where = f"--prompt-template {path}"
    text = _read(path, "--prompt-template")
    user, system = _read_yaml(text, where) if path.suffix.lower() in _YAML else (text, None)
    Template.parse(user, where)
    if system is not None:
        Template.parse(system, f"{where}: system")
    return user, system


def _read_yaml(text: str, where: str) -> tuple[str, str | None]:
    """NeMo Gym's form: `user`, and perhaps `system`."""
    import yaml  # late: few need it, and it costs start-up

    try:
        parts = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{where}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(parts, dict) or not isinstance(parts.get("user"), str):
        raise UsageError(f"{where}: a YAML template has the key user, with a text, and perhaps the key system")
    unknown = next((str(name) for name in parts if name not in ("user", "system")), None)
    if unknown is not None:
        raise UsageError(f"{where}: knows no key {unknown}: a template has user and system")
    if not isinstance(parts.get("system"), str | None):
        raise UsageError(f"{where}: system: give a text")
    return parts["user"], parts.get("system") or None


def _read(path: Path, flag: str) -> str:
    """The file's text, without the line break that an editor puts at its end."""
    try:
        text = path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except OSError as error:
        raise UsageError(f"{flag} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{flag} {path}: is no UTF-8 text") from None
    if not text.strip():
        raise UsageError(f"{flag} {path}: is empty")
    return text

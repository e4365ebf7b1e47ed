"""Finds NeMo Gym agents: those that the rows name, and from the head server's configuration where each one listens.

The head server answers `GET /global_config_dict_yaml` with a YAML text inside a JSON string. Each server in it is
`name: {kind: {implementation: {host, port, ...}}}`; an agent's kind is `responses_api_agents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import yaml

from collector.errors import InputError, ServerError
from collector.journal.reader import iter_lines
from collector.protocols.server_text import one_line
from collector.urls import bare_url

__all__ = ["agents_of_rows", "check_named", "check_one_agent", "find_agents"]

_PATH = "/global_config_dict_yaml"
_KIND = "responses_api_agents"
_TIMEOUT = 10.0


class _Ref(msgspec.Struct):
    name: str | None = None


class _Row(msgspec.Struct):
    agent_ref: _Ref | None = None


_read_row = msgspec.json.Decoder(_Row).decode


def agents_of_rows(path: Path, limit: int | None, agent_name: str | None) -> dict[str, int]:
    """Agent name -> the first line whose rollouts it makes: the row's own `agent_ref` wins over `agent_name`, as in
    NeMo Gym. Rows that cannot be read are left to the reader of prompts. Raises InputError for a row with neither."""
    named: dict[str, int] = {}
    for line in islice(iter_lines(path), limit):
        try:
            ref = _read_row(line.raw).agent_ref
        except (ValueError, RecursionError):
            continue
        name = (ref.name if ref else None) or agent_name
        if name is None:
            named.setdefault("", line.number)
        else:
            named.setdefault(name, line.number)
    return named


def check_one_agent(path: Path, named: Mapping[str, int], agent_name: str | None) -> None:
    """Raises InputError when rows name another agent than the one whose URL was given: it would answer for another's
    tasks."""
    names = [name for name in named if name]
    expected = agent_name or next(iter(names), None)
    other = next((name for name in names if name != expected), None)
    if other is not None:
        raise InputError(
            f"{path}:{named[other]}: the row names the agent {other!r}, but the URL is that of {expected!r}:"
            " leave the URL out, and the head server says where each agent listens"
        )


def check_named(path: Path, named: Mapping[str, int]) -> None:
    """Raises InputError for a row that names no agent, and when there is no row at all."""
    if "" in named:
        raise InputError(f"{path}:{named['']}: the row names no agent (`agent_ref`): give --agent-name NAME")
    if not named:
        raise InputError(f"{path}: no rows: give one JSON object a line")


def find_agents(head_url: str, path: Path, named: Mapping[str, int]) -> dict[str, str]:
    """Agent name -> base URL of those in `named` (name -> line of `path`), each of which has been checked.

    Raises ServerError when the head server is not there or does not know one of them (its list is shown).
    """
    agents = agents_in(_fetch_config(head_url))
    unknown = next((name for name in named if name not in agents), None)
    if unknown is not None:
        known = one_line(", ".join(sorted(agents)) or "none")
        raise ServerError(
            f"{bare_url(head_url)}: the head server knows no agent {unknown!r} ({path}:{named[unknown]});"
            f" its agents: {known}"
        )
    return {name: agents[name] for name in named}


def agents_in(config: Mapping[str, Any]) -> dict[str, str]:
    """Agent name -> base URL, for each agent in a head server's configuration that names a host and a port."""
    agents = {}
    for name, server in config.items():
        implementations = server.get(_KIND) if isinstance(server, Mapping) else None
        if not isinstance(implementations, Mapping):
            continue
        for settings in implementations.values():
            if isinstance(settings, Mapping) and settings.get("host") and settings.get("port"):
                agents[str(name)] = f"http://{_reachable(settings['host'])}:{settings['port']}"
    return agents


def _reachable(host: str) -> str:
    """A server that listens on every address is reached, from its own machine, on the loopback one."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared with, not bound to


def _fetch_config(head_url: str) -> Mapping[str, Any]:
    url = bare_url(head_url.rstrip("/")) + _PATH
    try:
        response = httpx.get(head_url.rstrip("/") + _PATH, timeout=_TIMEOUT, trust_env=False)
        response.raise_for_status()
        config = yaml.safe_load(orjson.loads(response.content))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        said = f"HTTP {status}" if status else one_line(str(error).replace(head_url, bare_url(head_url)))
        raise ServerError(
            f"{url}: the head server does not answer ({said}); start it, or give --agent-url http://host:port"
        ) from None
    except (orjson.JSONDecodeError, yaml.YAMLError, AttributeError, RecursionError) as error:
        said = one_line(f"{type(error).__name__}: {error}")
        raise ServerError(f"{url}: this is no NeMo Gym head server: {said}") from None
    if not isinstance(config, Mapping):
        raise ServerError(f"{url}: this is no NeMo Gym head server: its configuration is no mapping")
    return config

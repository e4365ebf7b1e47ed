"""The flags that say where requests go and what goes with each of them: URLs, agents, headers, further body fields."""

from __future__ import annotations

import argparse
from typing import Any

from collector.options.credentials import api_key, headers
from collector.options.parser import given_path, given_text, json_object, positive_int
from collector.settings import PROTOCOLS

__all__ = ["add_options", "read_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the model server")
    group.add_argument(
        "--base-url",
        type=given_text,
        action="append",
        metavar="URL",
        help="for example http://127.0.0.1:8000/v1; repeatable: further servers of the same model",
    )
    group.add_argument("--model", type=given_text, metavar="NAME", help="needed only where the server has several")
    group.add_argument("--protocol", choices=PROTOCOLS, help="default chat; agent where an agent is named")
    group.add_argument("--agent-name", type=given_text, metavar="NAME", help="a NeMo Gym agent")
    group.add_argument(
        "--agent-url", type=given_text, metavar="URL", help="where that agent listens; else the head server is asked"
    )
    group.add_argument(
        "--head-url", type=given_text, metavar="URL", default="http://127.0.0.1:11000", help="NeMo Gym's head server"
    )
    group.add_argument(
        "--api-key-env", type=given_text, metavar="VAR", help="environment variable that holds the API key"
    )
    group.add_argument("--api-key-file", metavar="PATH", type=given_path, help="file that holds the API key")
    group.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a header of every request; repeatable. Credentials: --header-env",
    )
    group.add_argument(
        "--header-env",
        action="append",
        default=[],
        metavar="NAME=VAR",
        help="a header whose value an environment variable holds, never shown; repeatable",
    )
    group.add_argument(
        "--extra-body",
        type=json_object,
        metavar="JSON",
        help="fields of every request's body; they win over all others",
    )
    group.add_argument(
        "--parallel-per-endpoint",
        type=positive_int,
        metavar="N",
        help="requests in flight at any one of several servers (default: a fair share and a quarter more)",
    )


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of this group; `base_url` itself is the caller's, who knows what an agent's name means."""
    sent, secrets = headers(args.header, args.header_env)
    return {
        "replica_urls": tuple(args.base_url[1:]) if args.base_url else (),
        "model": args.model,
        "agent_name": args.agent_name,
        "agent_urls": getattr(args, "agent_urls", {}),
        "endpoint_name": getattr(args, "endpoint_name", None),
        "api_key": api_key(args.api_key_env, args.api_key_file),
        "headers": sent,
        "secrets": secrets,
        "extra_body": args.extra_body or {},
        "parallel_per_endpoint": args.parallel_per_endpoint,
    }

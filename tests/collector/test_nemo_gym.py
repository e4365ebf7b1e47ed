"""Finding an agent through a NeMo Gym head server (a real local server that answers as the head server does)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collector.errors import InputError, ServerError
from collector.nemo_gym import agents_of_rows, check_named, check_one_agent, find_agents

CONFIG = """
head_server: {host: 127.0.0.1, port: 11000}
my_model: {responses_api_models: {vllm_model: {host: 127.0.0.1, port: 9001}}}
my_agent: {responses_api_agents: {simple_agent: {host: 0.0.0.0, port: 9002, entrypoint: app.py}}}
other_agent: {responses_api_agents: {tool_agent: {host: 10.1.2.3, port: 9003}}}
"""


def find(url: str, *names: str) -> dict[str, str]:
    return find_agents(url, Path("in.jsonl"), dict.fromkeys(names, 3))


@contextmanager
def head_server(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/global_config_dict_yaml" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_agent_is_found_by_name() -> None:
    """Host and port come from the YAML inside the JSON string; an agent on all addresses is reached on loopback."""
    with head_server(json.dumps(CONFIG).encode()) as url:
        assert find(url, "my_agent")["my_agent"] == "http://127.0.0.1:9002"
        assert find(url + "/", "other_agent")["other_agent"] == "http://10.1.2.3:9003"
        with pytest.raises(ServerError, match="no agent 'nobody' .in.jsonl:3.; its agents: my_agent, other_agent"):
            find(url, "nobody")


@pytest.mark.parametrize("body", [b"<html>", b'"a: [1"', b'"just words"', b"[]", b"{}"])
def test_what_is_no_head_server_is_said_to_be_none(body: bytes) -> None:
    """Other services on that port give one clear line."""
    with head_server(body) as url, pytest.raises(ServerError, match="no NeMo Gym head server"):
        find(url, "my_agent")


def test_a_head_server_that_is_not_there_or_fails() -> None:
    """The message names the URL and the way round: --agent-url."""
    with pytest.raises(ServerError, match="does not answer .*--agent-url"):
        find("http://127.0.0.1:9", "my_agent")
    with head_server(b"", status=500) as url, pytest.raises(ServerError, match="does not answer"):
        find(url, "my_agent")


def rows(path: Path, *agents: str | None) -> Path:
    given = [{"prompt": "hi"} if name is None else {"prompt": "hi", "agent_ref": {"name": name}} for name in agents]
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


def test_a_rows_own_agent_wins_over_the_flag_and_a_row_with_neither_is_named(tmp_path: Path) -> None:
    """As in NeMo Gym: `agent_ref` of the row, else +agent_name, else one clear line."""
    path = rows(tmp_path / "in.jsonl", "a", None, "b", "a", None)
    assert agents_of_rows(path, None, "flag") == {"a": 1, "flag": 2, "b": 3}
    assert agents_of_rows(path, 1, None) == {"a": 1}
    with pytest.raises(InputError, match=r"in.jsonl:2: the row names no agent .*--agent-name"):
        check_named(path, agents_of_rows(path, None, None))


def test_rows_of_two_agents_are_refused_when_one_agents_url_was_given(tmp_path: Path) -> None:
    """One agent must not answer for another's tasks; rows that all name one agent need no flag."""
    path = rows(tmp_path / "in.jsonl", "a", "b")
    with pytest.raises(InputError, match="in.jsonl:2: the row names the agent 'b', but the URL is that of 'a'"):
        check_one_agent(path, agents_of_rows(path, None, "a"), "a")
    with pytest.raises(InputError, match="in.jsonl:2"):
        check_one_agent(path, agents_of_rows(path, None, None), None)
    check_one_agent(path, agents_of_rows(path, 1, None), None)


@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "http://h:x"])
def test_a_head_url_that_is_none_is_one_clear_line(url: str) -> None:
    """No third-party exception gets out."""
    with pytest.raises(ServerError, match="does not answer") as caught:
        find(url, "my_agent")
    assert "\n" not in str(caught.value)

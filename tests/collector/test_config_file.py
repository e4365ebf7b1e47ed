"""--config: a TOML file of flags, over which the command line wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.errors import UsageError
from collector.options import settings_from
from collector.settings import CollectSettings
from pairing.cli import parse

FULL = """
input = "in.jsonl"
output = "out/r.jsonl"
base-url = ["http://h:1/v1", "http://h:2/v1"]
temperature = [0.6, 1]
num_repeats = { a = 3, _default = 2 }
send_seed = false
verifier = ["0.7*numeric", "0.3*exact"]
veto = "regex:pattern=x"
api_key_env = "PAIRMILL_TEST_KEY"
request_timeout = 60
resume = false
overwrite = true
max_tokens = 100

[params]
presence_penalty = 0.5
stop = ["\\n"]
user = "5"

[headers]
X-Source = "file"

[header_env]
X-Auth = "PAIRMILL_TEST_KEY"

[extra_body]
guided = { deep = [1, 2] }
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRMILL_TEST_KEY", "canary-123")
    monkeypatch.setenv("PAIRMILL_OTHER_KEY", "canary-456")


def asked(tmp_path: Path, content: str, *words: str) -> CollectSettings:
    (tmp_path / "run.toml").write_text(content)
    args = parse(["collect", "--config", str(tmp_path / "run.toml"), *words])
    return settings_from(args, base_url=(args.base_url or ["http://h/v1"])[0], output=args.output)


def test_a_file_says_all_that_flags_say(tmp_path: Path) -> None:
    """Keys with - or _, lists for repeatable flags, tables for what has names."""
    found = asked(tmp_path, FULL)
    assert (found.input, found.output) == (Path("in.jsonl"), Path("out/r.jsonl"))
    assert found.base_urls == ("http://h:1/v1", "http://h:2/v1")
    assert found.temperatures == (0.6, 1.0)
    assert found.repeats_by_agent == {"a": 3, "_default": 2}
    assert found.send_seed is False
    assert (found.verifier, found.vetoes) == (("0.7*numeric", "0.3*exact"), ("regex:pattern=x",))
    assert found.params == {"presence_penalty": 0.5, "stop": ["\n"], "user": "5", "max_output_tokens": 100}
    assert found.headers == {"x-source": "file", "x-auth": "canary-123"}
    assert found.extra_body == {"guided": {"deep": [1, 2]}}
    assert (found.api_key, found.timeouts.total) == ("canary-123", 60)
    assert (found.resume, found.overwrite) == (False, True)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--temperature", "0.9"], "params.temperature", 0.9),
        (["--param=temperature=0.9"], "params.temperature", 0.9),
        (["+responses_create_params.temperature=0.9"], "params.temperature", 0.9),
        (["--num-repeats=7"], "num_repeats", 7),
        (["--base-url", "http://mine/v1"], "base_urls", ("http://mine/v1",)),
        (["--verifier", "exact"], "verifier", "exact"),
        (["--send-seed"], "send_seed", True),
        (["--resume"], "overwrite", False),
        (["--param", "presence_penalty=1"], "params.presence_penalty", 1),
        (["--param=max_tokens=5"], "params.max_output_tokens", 5),
        (["--max-output-tokens=5"], "params.max_output_tokens", 5),
        (["--header=X-Source=mine"], "headers.x-source", "mine"),
        (["--header-env=X-AUTH=PAIRMILL_OTHER_KEY"], "headers.x-auth", "canary-456"),
        (["--header-env=X-Source=PAIRMILL_OTHER_KEY"], "headers.x-source", "canary-456"),
        (["--header=x-source=mine"], "headers.x-source", "mine"),
        (["--extra-body", "{}"], "extra_body", {}),
        (["--output=o"], "output", Path("o")),
    ],
)
def test_the_command_line_wins_over_the_file(tmp_path: Path, words: list[str], name: str, value: Any) -> None:
    """Flag by flag, and name by name where a flag has names; what contradicts a flag goes with it."""
    found: Any = asked(tmp_path, FULL, *words)
    field, _, key = name.partition(".")
    found = getattr(found, field)
    assert (found[key] if key else found) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("temprature = 1", "temprature: no such setting; did you mean temperature"),
        ("zzz = 1", "zzz: no such setting .see pairmill collect --help"),
        ("config = 'x'", "config: no such setting"),
        ("output_dir = 'x'", "output_dir: .*`pairmill run`.* take it, not `pairmill collect`, which has --output: in"),
        ("min_gap = 0.1", "min_gap: `pairmill run`, .* and others take it, not `pairmill collect`: in a file for both"),
        ("num_repeats = 'many'", "num_repeats = 'many': give a whole number"),
        ("num_repeats = 0", "num_repeats = 0: 0: give 1 or more"),
        ("num_repeats = true", "num_repeats = true: give a whole number"),
        ("temperature = 'hot'", "temperature = 'hot': give a number"),
        ("temperature = ['hot']", "give a number"),
        ("seed = 1.5", "seed = 1.5: give a whole number"),
        ("resume = 'yes'", "resume = 'yes': give true or false"),
        ("protocol = 'grpc'", "protocol = 'grpc': invalid choice"),
        ("verifier = 3", "verifier = 3: give a text or a list of texts"),
        ("model = ['m']", "give a text"),
        ("model = ''", "model = '': is empty"),
        ("params = 3", "params = 3: give a table"),
        ("[params]\na = 2020-01-01", "params.a = .*: give what JSON can hold"),
        ("[params]\na = nan", "params.a = nan: give what JSON can hold"),
        ("[extra_body]\na = [inf]", "extra_body = .*: give what JSON can hold"),
        ("base_url = 'http://me:canary@h/v1'", "base_url: a password has no place in a file"),
        ("extra_body = 3", "extra_body = 3: give a table"),
        ("[headers]\nX-A = 3", "headers.X-A = 3: give a text"),
        ("[headers]\nAuthorization = 'canary'", r"headers.Authorization: a credential has no place .*header_env = \{"),
        ("api_key = 'canary'", "api_key: a credential has no place in a file.*api_key_env"),
        ("token = 'canary'", "token: a credential"),
        ("x = =", "--config .*run.toml: is not TOML: Invalid value .at line 1"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    """File, key and what is accepted; a credential is not repeated."""
    with pytest.raises(UsageError, match=message) as caught:
        asked(tmp_path, content, "--input=i", "--output=o")
    assert "run.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    """Not there, a folder, not UTF-8, two of them."""
    (tmp_path / "latin.toml").write_bytes(b"model = '\xe9'")
    for words, message in (
        (["--config", "/nonexistent.toml"], "--config /nonexistent.toml: cannot be read: No such file"),
        (["--config", str(tmp_path)], "cannot be read: Is a directory"),
        ([f"--config={tmp_path / 'latin.toml'}"], "is no UTF-8 text"),
        (["--config=a", "--config", "b"], "--config: give one file"),
    ):
        with pytest.raises(UsageError, match=message):
            parse(["collect", *words])


def test_a_file_may_hold_the_pairing_flags_of_run(tmp_path: Path) -> None:
    """`pairmill run --config` knows them, `collect` does not."""
    (tmp_path / "run.toml").write_text('output_dir = "o"\nmin_gap = 0.3\nno_guards = true\nformat = "recipe"\n')
    args = parse(["run", "--config", str(tmp_path / "run.toml"), "--min-gap=0.4"])
    assert (args.output_dir, args.min_gap, args.guards, args.format) == (Path("o"), 0.4, False, "recipe")
    with pytest.raises(UsageError, match="output_dir: .*take it, not `pairmill collect`"):
        parse(["collect", "--config", str(tmp_path / "run.toml")])

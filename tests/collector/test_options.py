"""Flags, their NeMo Gym spelling, and the settings they make."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from collector.cli import add_parsers, endpoint_of, resume_command
from collector.errors import UsageError
from collector.options import Parser, settings_from
from collector.options.plus_args import translate
from collector.settings import CollectSettings, RetryPolicy


def parse(*words: str) -> argparse.Namespace:
    parser = Parser(prog="pairmill")
    add_parsers(parser.add_subparsers(required=True))
    return parser.parse_args(["collect", "--input=in.jsonl", "--output=out/r.jsonl", *translate(list(words))])


def settings(*words: str) -> CollectSettings:
    args = parse(*words)
    base_url = endpoint_of(argparse.Namespace(**{**vars(args), "input": Path("/dev/null")}))
    return settings_from(args, base_url=base_url or "http://127.0.0.1:1/v1", output=args.output)


def test_both_spellings_make_the_same_settings() -> None:
    """`+key=value` and `--key value` mean the same, one for one."""
    flags = settings(
        "--agent-name=a", "--agent-url=http://h:1", "--num-repeats=3", "--num-samples-in-parallel=10",
        "--temperature=0.8", "--top-p=0.9", "--limit=5", "--send-seed",
    )  # fmt: skip
    plus = settings(
        "+agent_name=a", "+agent_url=http://h:1", "+num_repeats=3", "++num_samples_in_parallel=10",
        "+responses_create_params.temperature=0.8", "+responses_create_params.top_p='0.9'", "+limit=5",
        "+num_repeats_add_seed=true", "+resume_from_cache=false",
    )  # fmt: skip
    assert flags == plus
    assert flags.protocol == "agent"
    assert flags.params == {"temperature": 0.8, "top_p": 0.9}


def test_null_means_not_given() -> None:
    """NeMo Gym writes `+limit=null` for 'all rows'."""
    assert settings("+limit=null", "+responses_create_params.temperature=null").params == {}


def test_other_parameters_are_passed_on_as_json_or_as_words() -> None:
    """--param reads JSON, and takes a bare word as a string."""
    asked = settings("--param", 'stop=["\\n"]', "--param=service_tier=flex", "--param=max_tokens=7")
    assert asked.params == {"stop": ["\n"], "service_tier": "flex", "max_output_tokens": 7}


def test_hydras_spellings_of_values_are_read_as_nemo_gym_reads_them() -> None:
    """Dots go a level down, words and numbers are Python's or YAML's, mappings stand in place, null is 'not given'."""
    asked = settings(
        "+responses_create_params={temperature:0.5, top_p: 0.9, user: null}",
        "+responses_create_params.reasoning.effort=high",
        "+responses_create_params.reasoning.summary=null",
        "+responses_create_params.parallel_tool_calls=False",
        "+responses_create_params.temperature=.8",
        "+responses_create_params.stop=[a,b]",
        '+responses_create_params.metadata={"extra_body": "{}"}',
        "+num_repeats={my_agent: 3, _default: 7}",
        "+agent_name=my_agent",
        "+agent_url=http://h:1",
        "+send_seed=False",
    )
    assert asked.params == {
        "temperature": 0.8,
        "top_p": 0.9,
        "reasoning": {"effort": "high"},
        "parallel_tool_calls": False,
        "stop": ["a", "b"],
        "metadata": {"extra_body": "{}"},
    }
    assert asked.num_repeats == 7
    assert asked.repeats_by_agent == {"my_agent": 3, "_default": 7}
    assert asked.send_seed is False


def test_a_password_in_a_bad_url_is_not_shown() -> None:
    """The message names the URL without it."""
    with pytest.raises(UsageError, match="--base-url http://h:99999") as caught:
        settings("--base-url", "http://me:canary@h:99999")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-repeats", "0"], "--num-repeats: 0: give 1 or more"),
        (["--num-repeats", "many"], "--num-repeats: 'many': give a whole number, 1 or more"),
        (["--temprature", "1"], "unrecognized arguments: --temprature 1"),
        (["--temp", "1"], "unrecognized arguments: --temp"),
        (["+num_repeat=3"], r"unrecognized arguments: --num-repeat=3"),
        (["+num_repeats"], r"\+num_repeats: write \+key=value"),
        (["+resume_from_cache=yes"], "give true or false"),
        (["--temperature", "-1"], "--temperature -1.0: give a number from 0"),
        (["--top-p", "1.5"], "--top-p 1.5"),
        (["--param", "n=4"], "--param n: the collector sets this itself"),
        (["--param", "top"], "write NAME=JSON"),
        (["--protocol", "grpc"], "--protocol: invalid choice"),
        (["--base-url", "localhost:8000"], "--base-url localhost:8000: it is no http URL; give a URL"),
        (["--base-url", "http://h", "--agent-url", "http://h"], "--base-url and --agent-url: give one"),
        (["--resume", "--overwrite"], "contradict each other"),
        (["--seed", "9" * 20], "--seed 9+: give a number of 64 bits"),
        (["--top-k", "9" * 20], "--top-k 9+: give a number"),
        (["--limit", "9" * 20], "--limit 9+: give a number from 1"),
        (["--num-repeats", "1000000000"], "--num-repeats 1000000000: give a number from 1 to 10000"),
        (["--param", "seed=abc"], "--seed abc: give a number"),
        (["--param", "messages=[]"], "--param messages: the collector sets this itself"),
        (["--param", "model=m"], "--param model: give --model"),
        (["--param", "x=" + "[" * 600 + "]" * 600], "--param: the parameters cannot be written as JSON"),
        (["--request-timeout", "1e300"], r"--request-timeout 1e\+300: give seconds"),
        (["--verifier", ""], "--verifier: is empty"),
        (["--base-url", ""], "--base-url: is empty"),
        (["--api-key-env", ""], "--api-key-env: is empty"),
        (["--api-key-file", "/dev/null"], "--api-key-file /dev/null: holds no key"),
        (["--base-url", "http://[::1"], r"--base-url http://\[::1: Invalid IPv6 URL"),
        (["--base-url", "http://h:99999/v1"], "--base-url http://h:99999/v1: Port out of range"),
        (["--base-url", "http://h/v1\n"], "--base-url http://h/v1: a space or line break"),
        (["--base-url", "http://h/v1?x=1"], "a query or fragment cannot be kept"),
        (["+responses_create_params=5"], "give a mapping"),
        (["+responses_create_params.stop=[a"], r"\[a: cannot be read as a list or mapping"),
        (["--request-timeout", "0"], "--request-timeout 0.0: give seconds"),
        (
            ["--api-key-env", "PAIRMILL_NO_SUCH_KEY"],
            "--api-key-env PAIRMILL_NO_SUCH_KEY: no environment variable of that name is set",
        ),
        (["--api-key-file", "sk-canary"], r"--api-key-file \(not shown\): cannot be read: No such file"),
        (["--api-key-file", "canary" * 99], r"--api-key-file \(not shown\): cannot be read: File name too long"),
        (["--api-key-file", "/dev"], "--api-key-file /dev: cannot be read: Is a directory"),
        (["--header", "X-Key=canary"], "--header x-key: a credential"),
        (["--header", "X-Who=Bearer canary"], "--header x-who: a credential"),
        (["--extra-body", '{"metadata": {"api_key": "canary"}}'], "--extra-body api_key: a credential"),
        (["--param", 'tools=[{"headers": {"Authorization": "canary"}}]'], "--param Authorization: a credential"),
        (["--base-url", "http://h/v1?key=canary"], "--base-url http://h/v1: a query or fragment"),
        (["--base-url", "me:canary@h/v1"], "--base-url h/v1: it is no http URL"),
        (["--base-url", "http://m/e:canary@h/v1"], "--base-url http://h/v1: an @ stands in its path"),
        (["--base-url", "http://me:p//canary@h:99999/v1"], "--base-url http://h:99999/v1: "),
        (["--base-url", "http://me:p@canary@h:99999/v1"], "--base-url http://h:99999/v1: Port out of range"),
        (["--agent-name=a", "--head-url=me:canary@h"], "--head-url h: it is no http URL"),
        (["--config", ""], "--config: is empty"),
        (["--prompt-template", ""], "--prompt-template: is empty"),
        (["--num-repeats", "a:3"], "--num-repeats: a:3: a shell takes braces apart: write .* in quotes"),
        (["--temperature", "0.6,hot"], "--temperature: '0.6,hot': give a number, or several with commas between"),
        (["--temperature", "0.6,-1"], "--temperature -1.0: give a number from 0"),
        (["--temperature", "nan"], "--temperature nan: give a number"),
        (["--header", "Authorization=Bearer canary"], "--header authorization: a credential .* --header-env"),
        (["--header", "X-Api-Key=canary"], "--header x-api-key: a credential"),
        (["--header", "cookie=canary"], "--header cookie: a credential"),
        (["--header", "canary"], "--header: write NAME=VALUE"),
        (["--header", "bad name=canary"], "--header: write NAME=VALUE"),
        (["--header", "x-a=caf\u00e9"], "--header x-a: the value holds a character that HTTP cannot carry"),
        (["--header", "Content-Length=3"], "--header content-length: the collector sets this itself"),
        (
            ["--header-env", "X-Token=PAIRMILL_NO_SUCH_KEY"],
            "--header-env x-token PAIRMILL_NO_SUCH_KEY: no env",
        ),
        (["--header-env", "X-Token=hf_canary"], r"--header-env x-token \(not shown\): no environment variable"),
        (["--api-key-env", "sk-canary"], r"--api-key-env \(not shown\): no environment variable"),
        (["--extra-body", "{"], "--extra-body: is not JSON"),
        (["--extra-body", "[1]"], "--extra-body: give a JSON object"),
        (["--temperature=0.6,1", '--extra-body={"temperature": 1}'], "--extra-body temperature: give one"),
        (["--extra-body", '{"n": 2}'], "--extra-body: n: the collector sets this itself"),
        (["--extra-body", '{"api_key": "canary"}'], "--extra-body api_key: a credential"),
        (["--param", "api_key=canary"], "--param api_key: a credential"),
        (["--num-repeats", "{a: 0}"], r"--num-repeats: \{a: 0\}: a: give a whole number, 1 or more"),
        (["--num-repeats", "{}"], r"--num-repeats: \{\}: write \{agent: number"),
        (["--num-repeats", "{a: 20000}"], "--num-repeats 20000: give a number from 1 to 10000"),
        (
            ["--samples-per-request", "2", "--protocol", "responses"],
            "--samples-per-request 2: --protocol responses has",
        ),
        (["--samples-per-request", "0"], "--samples-per-request: 0: give 1 or more"),
        (["--parallel-per-endpoint", "90000"], "--parallel-per-endpoint 90000: give a number from 1 to 60000"),
        (["--rollout-timeout", "0"], "--rollout-timeout 0.0: give seconds, more than 0"),
        (["--stall-after", "inf"], "--stall-after inf: give seconds"),
        (["--backoff-cap", "1e300"], r"--backoff-cap 1e\+300: give seconds, 0 or more and at most"),
        (["--retry-after-cap", "nan"], "--retry-after-cap nan: give seconds"),
        (["--dead-after", "-1"], "--dead-after -1.0: give seconds, 0 or more"),
        (["--base-url", "http://h", "--base-url", "h2"], "--base-url h2: it is no http URL"),
        (["--system-prompt", "a", "--system-prompt-file", "b"], "--system-prompt and --system-prompt-file: give one"),
        (["--system-prompt", "{0.x}"], r"--system-prompt: line 1: \{0.x\} is no field of a row"),
        (["--system-prompt", "a", "--param", "instructions=b"], "--system-prompt and --param instructions: give one"),
        (["--prompt-template", "/nonexistent"], "--prompt-template /nonexistent: cannot be read: No such file"),
        (["--prompt-template", "/dev/null"], "--prompt-template /dev/null: is empty"),
    ],
)
def test_a_bad_option_is_one_clear_line(words: list[str], message: str) -> None:
    """Each names the flag, the value and what is accepted."""
    with pytest.raises(UsageError, match=message) as caught:
        settings(*words)
    assert "\n" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_every_flag_of_the_full_reach_has_its_setting() -> None:
    """One to one, several values where several make sense."""
    asked = settings(
        "--base-url=http://h:1/v1", "--base-url=http://h:2/v1", "--base-url=http://h:1/v1", "--temperature=0.6,1",
        "--parallel-per-endpoint=7", "--samples-per-request=2", "--header=X-Source=a=b", '--extra-body={"x": {"y": 1}}',
        "--verifier=0.7*numeric", "--verifier=0.3*exact", "--veto=regex:pattern=x", "--system-prompt=Be {mood}.",
        "--rollout-timeout=9", "--stall-after=8", "--backoff-base=1", "--backoff-cap=2", "--retry-after-cap=3",
        "--dead-after=4", "--max-attempts=5", "--param=temperature=0.1",
    )  # fmt: skip
    assert asked.base_urls == ("http://h:1/v1", "http://h:2/v1")
    assert (asked.temperatures, asked.params) == ((0.6, 1.0), {})
    assert (asked.parallel_per_endpoint, asked.samples_per_request) == (7, 2)
    assert (dict(asked.headers), dict(asked.extra_body)) == ({"x-source": "a=b"}, {"x": {"y": 1}})
    assert (asked.verifier, asked.vetoes) == (("0.7*numeric", "0.3*exact"), ("regex:pattern=x",))
    assert asked.system_prompt == "Be {mood}."
    assert (asked.timeouts.rollout, asked.timeouts.stall) == (9, 8)
    assert asked.retry == RetryPolicy(5, backoff_base=1, backoff_cap=2, retry_after_cap=3, dead_after=4)
    assert settings("--verifier=numeric").verifier == "numeric"
    assert settings("--temperature=0.6").params == {"temperature": 0.6}


@pytest.mark.parametrize(
    ("name", "content", "user", "system"),
    [
        ("t.txt", "Q: {q}\n\n", "Q: {q}\n", None),
        ("t.yaml", "user: |-\n  Q: {q}\nsystem: Be brief.\n", "Q: {q}", "Be brief."),
        ("t.YML", "user: 'Q: {q}'\nsystem:\n", "Q: {q}", None),
        ("t.yaml", "user: 'Q: {q}'\nsystem: ''\n", "Q: {q}", None),
    ],
)
def test_a_template_is_a_text_or_nemo_gyms_yaml(
    tmp_path: Path, name: str, content: str, user: str, system: str | None
) -> None:
    """The last line break of a text is the editor's; `+prompt_config` means the same flag."""
    (tmp_path / name).write_text(content)
    for word in (f"--prompt-template={tmp_path / name}", f"+prompt_config={tmp_path / name}"):
        asked = settings(word)
        assert (asked.prompt_template, asked.system_prompt) == (user, system)
    own = settings(f"--prompt-template={tmp_path / name}", "--system-prompt=Mine.")
    assert own.system_prompt == "Mine."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.yaml", "user: [1\n", "is not YAML"),
        ("t.yaml", "just text", "a YAML template has the key user"),
        ("t.yaml", "user: a\nassistant: b", "knows no key assistant"),
        ("t.yaml", "user: a\nsystem: 5", "system: give a text"),
        ("t.yaml", "user: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("t.yaml", "user: a\nsystem: '{0}'", r"system: line 1: \{0\} is no field"),
        ("t.txt", "a\n{q!r}", r"line 2: \{q!r\} is no field"),
        ("t.txt", b"\xff\xfe", "is no UTF-8 text"),
    ],
)
def test_a_bad_template_file_is_one_clear_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    """Named with its path, before any row is read."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=f"--prompt-template .*{name}: {message}") as caught:
        settings(f"--prompt-template={tmp_path / name}")
    assert "\n" not in str(caught.value)


def test_a_header_from_the_environment_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent, but in no repr; its value, and what stands behind `Bearer`, are known as secrets."""
    monkeypatch.setenv("PAIRMILL_TEST_KEY", "Bearer canary-123")
    asked = settings("--header-env", "X-Auth=PAIRMILL_TEST_KEY")
    assert dict(asked.headers) == {"x-auth": "Bearer canary-123"}
    assert asked.secrets == ("Bearer canary-123", "canary-123")
    assert "canary" not in repr(asked) + str(asked.identity())
    with pytest.raises(UsageError, match="--header x-a and --header-env x-a: give one"):
        settings("--header", "X-A=1", "--header-env", "X-A=PAIRMILL_TEST_KEY")


def test_two_flags_that_say_who_asks_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One would silently win over the other."""
    monkeypatch.setenv("PAIRMILL_TEST_KEY", "canary-123")
    with pytest.raises(UsageError, match="--api-key-env or --api-key-file, and --header-env authorization: give one"):
        settings("--api-key-env=PAIRMILL_TEST_KEY", "--header-env=Authorization=PAIRMILL_TEST_KEY")


def test_a_schema_may_speak_of_a_password() -> None:
    """A tool's parameter of that name is no credential, nor is a filter's `key`."""
    tools = '[{"type": "function", "function": {"parameters": {"properties": {"password": {"type": "string"}}}}}]'
    asked = settings(f"--param=tools={tools}", '--extra-body={"filters": [{"key": "region", "value": "us"}]}')
    assert set(asked.params) == {"tools"}


def test_reverify_takes_no_flag_that_asks_a_server() -> None:
    """Such a flag beside it is a misunderstanding: one clear line each."""
    for words in (
        ["--base-url=http://h"],
        ["--temperature=1"],
        ["--num-repeats=2"],
        ["--system-prompt=x"],
    ):
        args = parse("--reverify", "--verifier=numeric", *words)
        with pytest.raises(UsageError, match=f"{words[0].partition('=')[0]}: leave it out: --reverify asks no server"):
            args.handler(args)
    args = parse("--reverify")
    with pytest.raises(UsageError, match="--reverify: say how to score: give --verifier"):
        args.handler(args)


def test_a_key_comes_from_the_environment_or_a_file_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The key is in no repr of the settings and in none of what --resume compares."""
    monkeypatch.setenv("PAIRMILL_TEST_KEY", "canary-123")
    (tmp_path / "key").write_text("canary-123\n")
    for words in (["--api-key-env=PAIRMILL_TEST_KEY"], [f"--api-key-file={tmp_path / 'key'}"]):
        asked = settings(*words)
        assert asked.api_key == "canary-123"
        assert "canary" not in repr(asked)
        assert "canary" not in str(asked.identity())


def test_output_over_input_is_refused() -> None:
    """A run may not read what it writes."""
    with pytest.raises(UsageError, match="is the input file"):
        settings("--output=in.jsonl")


def test_the_resume_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It quotes what a shell would split, drops --overwrite in each spelling, adds --resume once, and keeps the path of
    a command that is not on the PATH."""
    argv = ["/x/bin/pairmill", "collect", "--input", "my file.jsonl", "--overwrite", "++overwrite=True"]
    monkeypatch.setenv("PATH", "/nonexistent")
    assert resume_command(argv) == "/x/bin/pairmill collect --input 'my file.jsonl' --resume"
    argv[0] = "/x/bin/sh"
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    assert resume_command(argv) == "sh collect --input 'my file.jsonl' --resume"
    assert resume_command([*argv, "--resume"]).count("--resume") == 1


@pytest.mark.parametrize("user", ["me:canary", "me:c@nary:canary", "canary"])
def test_the_resume_command_shows_no_password(user: str) -> None:
    """Placeholders stand for what stood in front of the host, an @ in it included."""
    assert resume_command(["/x/pairmill", "collect", f"--base-url=http://{user}@h/v1", "--resume"]).endswith(
        "--base-url=http://USER:PASSWORD@h/v1 --resume"
    )

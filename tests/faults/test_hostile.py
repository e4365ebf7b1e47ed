"""Rows, replies and file names that attack: nothing raw on the terminal, no request elsewhere, no file out of place."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest

from tests.faults.commands import ROOT, Commands, Done
from tests.faults.runs import rows_in
from tests.faulty_server import Behaviour, Exchange, FaultyServer, chat_body, redirect, reply

EVIL = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x9b5m\x00\x08\x7f\u202egnp.exe\u2028\r\nfake: line"
_SHOWN_CONTROLS = frozenset("\n\r")
"""Line ends, and what tqdm draws its bar with where it has no terminal."""


def assert_plain(done: Done, *, shows_answers: bool = False) -> None:
    """No control or format character, and no line that the attacker began, but where answers are shown as such."""
    assert "Traceback" not in done.err
    for text in (done.out, done.err):
        odd = {char for char in text if not char.isprintable()} - _SHOWN_CONTROLS
        assert not odd, f"{sorted(odd)!r} in {text!r}"
        assert shows_answers or not any(line.startswith("fake: ") for line in text.splitlines())


def _model(answer: Behaviour, models: Behaviour | None = None) -> Behaviour:
    async def serve(exchange: Exchange) -> None:
        listed = models or reply(200, {"data": [{"id": "m"}]})
        await (listed if exchange.method == "GET" else answer)(exchange)

    return serve


def _write(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


async def _run(pairmill: Commands, *words: str | Path, folder: Path | None = None) -> Done:
    return await asyncio.to_thread(pairmill.run, *words, folder=folder)


def _two_answers() -> Behaviour:
    """Every second answer scores; all are hostile."""
    count = 0

    async def answer(exchange: Exchange) -> None:
        nonlocal count
        count += 1
        await reply(200, chat_body(f"{EVIL} {count % 2}", id=EVIL, model=EVIL))(exchange)

    return answer


async def test_a_model_cannot_draw_on_the_terminal(tmp_path: Path, pairmill: Commands) -> None:
    """Prompts and answers full of escapes are collected, paired and shown as a sample pair: as plain text."""
    _write(tmp_path / "in.jsonl", *({"prompt": f"{EVIL} {i}", EVIL: EVIL, "expected_answer": "1"} for i in range(3)))
    async with FaultyServer(_model(_two_answers())) as server:
        done = await _run(
            pairmill, "run", "--input", tmp_path / "in.jsonl", "--output-dir", tmp_path / "out", "--base-url",
            f"{server.url}/v1", "--verifier", "numeric", "--no-guards",
        )  # fmt: skip
    assert done.code == 0, done.err
    assert "chosen, reward 1" in done.out
    assert_plain(done, shows_answers=True)
    assert rows_in(tmp_path / "out" / "rollouts.jsonl")[0]["prompt"] == f"{EVIL} 0"


@pytest.mark.parametrize(
    "answer",
    [
        reply(400, {"error": {"message": EVIL}}),
        reply(500, EVIL),
        reply(200, f"<html>{EVIL}"),
        reply(200, {"choices": [{"message": {"content": "x", "tool_calls": EVIL}}]}),
        reply(200, {EVIL: 1}),
        redirect("http://\x1b[31m.invalid/"),
    ],
    ids=["400", "500", "HTML", "odd shape", "odd name", "redirect"],
)
async def test_an_error_cannot_draw_on_the_terminal(tmp_path: Path, pairmill: Commands, answer: Behaviour) -> None:
    """The server's words are shown on one line each, without what is no text; before the run and in it."""
    source = _write(tmp_path / "in.jsonl", {"prompt": "x"})
    words: list[str | Path] = ["collect", "--input", source, "--output", tmp_path / "r.jsonl",
             "--max-attempts", "2", "--backoff-base", "0", "--base-url"]  # fmt: skip
    async with FaultyServer(_model(answer)) as server:
        in_it = await _run(pairmill, *words, f"{server.url}/v1")
    assert_plain(in_it)
    for row in rows_in(tmp_path / "r_failures.jsonl") if (tmp_path / "r_failures.jsonl").exists() else ():
        assert row["message"].isprintable()
    async with FaultyServer(_model(answer, models=answer)) as server:
        before = await _run(pairmill, *words, f"{server.url}/v1", "--resume")
    assert_plain(before)


async def test_names_of_models_and_files_cannot_draw_on_the_terminal(tmp_path: Path, pairmill: Commands) -> None:
    """A model list, an input, an output and a flag's value with escapes in their names: shown without them."""
    folder = tmp_path / "a\x1b[31m\nfake: line\u202e"
    folder.mkdir()
    source = _write(folder / "in\x1b[2J.jsonl", {"prompt": "x", "expected_answer": "1"})
    listed = reply(200, {"data": [{"id": EVIL}, {"id": "other"}]})
    async with FaultyServer(_model(reply(200, chat_body("1")), models=listed)) as server:
        url = f"{server.url}/v1"
        words: list[str | Path] = ["collect", "--input", source, "--output", folder / "r.jsonl", "--base-url", url]
        several = await _run(pairmill, *words)
        assert several.code == 1
        chosen = await _run(pairmill, *words, "--model", EVIL, "--verifier", "numeric")
        assert chosen.code == 0, chosen.err
        again = await _run(pairmill, *words, "--model", EVIL, "--verifier", "numeric")
        assert again.code == 1
        other = await _run(pairmill, *words, "--model", "other", "--resume")
        assert other.code == 1
        unknown = await _run(pairmill, *words, f"--{EVIL}", EVIL)
        missing = await _run(pairmill, "collect", "--input", folder / EVIL.replace("\x00", ""), *words[3:])
        paired = await _run(pairmill, "pair", "--input", folder / "r.jsonl", "--output", folder / "p\x1b[31m.jsonl")
        _write(source, {"prompt": "x"}, {"question": EVIL, EVIL: 1})
        broken = await _run(pairmill, *words, "--overwrite")
    for done in (several, chosen, again, other, unknown, missing, paired, broken):
        assert_plain(done)


async def test_no_request_goes_where_a_row_or_a_reply_points(tmp_path: Path, pairmill: Commands) -> None:
    """URLs stand in every field that might be taken for an endpoint, in rows and in replies, and a redirect points
    elsewhere: the other server never hears a connection."""
    async with FaultyServer(reply(200, chat_body("1"))) as elsewhere:
        url = elsewhere.url
        names = (
            "base_url",
            "api_base",
            "url",
            "endpoint",
            "server",
            "host",
            "callback",
            "verifier_url",
            "$ref",
            "proxy",
        )
        fields: dict[str, object] = dict.fromkeys(names, url)
        params = {"base_url": url, "extra_body": {"base_url": url}, "metadata": {"url": url}}
        picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"{url}/x.png"}}]}
        source = _write(
            tmp_path / "in.jsonl",
            {"prompt": "one", **fields},
            {"messages": [picture], **fields},
            {"responses_create_params": {"input": "three", **params}, **fields, "agent_ref": {"name": url}},
        )
        links = {"url": url, "next": url, "base_url": url, "image_url": {"url": url}}
        body = chat_body(f"![x]({url}/x.png) <script src={url}>", **links)
        answers = [
            reply(200, body, Link=f"<{url}>; rel=next", Content_Location=url, Refresh=f"0; url={url}", Alt_Svc=url),
            *(redirect(f"{url}/v1/chat/completions", status) for status in (301, 302, 303, 307, 308)),
            reply(201, body, Location=url),
        ]
        count = 0

        async def answer(exchange: Exchange) -> None:
            nonlocal count
            count += 1
            await answers[count % len(answers)](exchange)

        async with FaultyServer(_model(answer)) as server:
            done = await _run(
                pairmill, "run", "--input", source, "--output-dir", tmp_path / "out", "--base-url",
                f"{server.url}/v1", "--verifier", "numeric:field=prompt", "--num-repeats", "5", "--max-attempts", "2",
                "--backoff-base", "0",
            )  # fmt: skip
        assert count >= 15 or done.code == 1, done.err
        assert elsewhere.connections == 0
    assert_plain(done)


def _everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def test_no_name_becomes_a_path(tmp_path: Path, pairmill: Commands) -> None:
    """Ids, agents and models called ../../x: only the five files of the output, and the pairs, are written."""
    name = "../../../escaped"
    root = tmp_path / "a" / "b" / "c"
    root.mkdir(parents=True)
    row = {"id": name, "task_id": name, "uuid": name, "name": name, "dataset": f"{tmp_path}/absolute"}
    source = _write(root / "in.jsonl", *({"prompt": f"{name} {i}", "expected_answer": "1", **row} for i in range(2)))
    async with FaultyServer(_model(_two_answers(), models=reply(200, {"data": [{"id": name}]}))) as server:
        done = await _run(
            pairmill, "run", "--input", source, "--output-dir", root / "out", "--base-url", f"{server.url}/v1",
            "--verifier", "numeric", "--no-guards", folder=root,
        )  # fmt: skip
    assert done.code == 0, done.err
    out = {f"a/b/c/out/{file}" for file in ("rollouts.jsonl", "rollouts.run.json", "pairs.jsonl")}
    assert _everything(tmp_path) == {"a", "a/b", "a/b/c", "a/b/c/in.jsonl", "a/b/c/out", *out}
    assert rows_in(root / "out" / "rollouts.jsonl")[0]["id"] == name


_MODULES = sorted(path for package in ("collector", "pairing") for path in (ROOT / package).rglob("*.py"))
_CALLS = frozenset({"eval", "exec", "compile", "__import__", "input", "breakpoint"})
_IMPORTS = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "telnetlib"})
_ATTRIBUTES = frozenset(
    {
        ("yaml", "load"), ("yaml", "load_all"), ("yaml", "full_load"), ("yaml", "unsafe_load"), ("yaml", "Loader"),
        ("os", "system"), ("os", "popen"), ("torch", "load"), ("builtins", "eval"), ("builtins", "exec"),
        ("ssl", "_create_unverified_context"), ("ssl", "CERT_NONE"), ("tempfile", "mktemp"),
    }
)  # fmt: skip
_KEYWORDS = {"shell": True, "verify": False, "allow_pickle": True, "check_hostname": False, "trust_remote_code": True}


def dangers(source: str) -> Iterator[str]:
    """What runs or trusts text that came from outside, as `line: what`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
                yield f"{node.lineno}: {name}()"
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in _ATTRIBUTES:
                yield f"{node.lineno}: {module}.{name}"
            case ast.Import(names=names) if any(alias.name.split(".")[0] in _IMPORTS for alias in names):
                yield f"{node.lineno}: import {names[0].name}"
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in _IMPORTS or any((module, alias.name) in _ATTRIBUTES for alias in names):
                    yield f"{node.lineno}: from {module} import {names[0].name}"
            case ast.keyword(arg=str(name), value=ast.Constant(value=value)) if (
                name in _KEYWORDS and _KEYWORDS[name] is value
            ):
                yield f"{node.value.lineno}: {name}={value}"


def test_no_module_runs_or_trusts_what_comes_from_outside() -> None:
    """No pickle, eval, exec, yaml.load, shell or switched-off TLS check anywhere in either stage."""
    assert len(_MODULES) > 80
    found = [f"{path.relative_to(ROOT)}:{danger}" for path in _MODULES for danger in dangers(path.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import a, shelve", "eval('1')", "x = yaml.load(f)",
        "from yaml import load", "f(shell=True)", "client(verify=False)", "exec(code)", "np.load(f, allow_pickle=True)",
        "context.verify_mode = ssl.CERT_NONE", "def f():\n    import marshal.x", "__import__(name)",
    ],
)  # fmt: skip
def test_the_reader_of_dangers_sees_them(source: str) -> None:
    """Each of them once; and what only looks like one is none."""
    assert len(list(dangers(source))) == 1
    assert list(dangers("re.compile(x); yaml.safe_load(f); model.eval(); f(shell=False, verify=True)")) == []

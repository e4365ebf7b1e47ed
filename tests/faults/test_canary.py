"""Planted keys, and servers that echo them in every way they can: no key ever stands in a file or on the screen."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.faults.commands import Commands, Done
from tests.faulty_server import Behaviour, Exchange, FaultyServer, chat_body, reply

KEY = "sk-canary/key+5f3a=="
TOKEN = "token canary-b2c9/77"
PASSWORD = "pass@canary-91d0"  # as the URL has it: pass%40canary-91d0
JUDGE_KEY = "judge-canary-4e8f"
CANARIES = (
    base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    *(
        form
        for secret in (KEY, TOKEN, TOKEN.split()[1], PASSWORD, JUDGE_KEY)
        for form in (
            secret,
            quote(secret),
            quote(secret, safe=""),
            json.dumps(secret)[1:-1].replace("/", "\\/"),
            base64.b64encode(secret.encode()).decode(),
        )
    ),
)
"""Each secret as it is, and as a URL, a careful JSON writer and a Basic header spell it."""


def _heard(exchange: Exchange) -> str:
    """Every credential that came in."""
    heard = [exchange.headers.get(name, "") for name in ("authorization", "x-token")]
    return " ".join([*heard, heard[0].removeprefix("Bearer ")])


def _echo(status: int, shape: str, **headers: str) -> Behaviour:
    """Answers with what it heard, in the place that `shape` marks with @ (as it is) or § (as JSON, slashes escaped)."""

    async def answer(exchange: Exchange) -> None:
        heard = _heard(exchange)
        escaped = json.dumps(heard)[1:-1].replace("/", "\\/")
        given = {
            name: value.replace("@", quote(heard) if name == "Location" else heard) for name, value in headers.items()
        }
        await reply(status, shape.replace("@", heard).replace("§", escaped), **given)(exchange)

    return answer


_TORN = '{"choices": [{"message": {"content": "@'
FAULTS: dict[str, Behaviour] = {
    "401": _echo(401, '{"error": {"message": "Incorrect API key provided: @"}}', WWW_Authenticate="Bearer @"),
    "403, plain": _echo(403, "forbidden: @"),
    "400, escaped": _echo(400, '{"error": {"message": "§"}}'),
    "422, detail": _echo(422, '{"detail": [{"loc": ["header"], "msg": "@", "input": "§"}]}'),
    "429": _echo(429, "slow down, @", Retry_After="@"),
    "500": _echo(500, '{"error": {"message": "Trace: headers = @"}}'),
    "502, HTML": _echo(502, "<html><pre>@</pre></html>"),
    "a long error": _echo(400, "x" * 290 + "@"),
    "a redirect": _echo(302, "@", Location="http://@elsewhere.invalid/?key=@"),
    "HTML with 200": _echo(200, "<html>@</html>"),
    "torn JSON": _echo(200, _TORN),
    "another shape": _echo(200, '{"choices": "@"}'),
    "an odd name": _echo(200, '{"@": 1, "choices": [{"message": {"content": "x", "@": "@"}, "finish_reason": "@"}]}'),
    "no HTTP": lambda exchange: _raw(
        exchange, f"HTTP/1.1 200 {KEY}\r\nX: {KEY}\r\n{KEY}: 1\r\nContent-Length: {KEY}\r\n\r\n"
    ),
    "a status line": lambda exchange: _raw(exchange, f"{KEY} {TOKEN}\r\n\r\n"),
    "an answer": _echo(200, json.dumps(chat_body("@")), X_Echo="@"),
    "an escaped answer": _echo(200, json.dumps(chat_body("MARK"), ensure_ascii=False).replace("MARK", "§")),
}


async def _raw(exchange: Exchange, text: str) -> None:
    exchange.send(text.encode())
    await exchange.writer.drain()
    exchange.close()


def _serve(fault: Behaviour, models: Behaviour | None = None) -> Behaviour:
    """A right server but for the requests that `fault` answers: every second rollout, and every judgement of one."""
    count = 0

    async def answer(exchange: Exchange) -> None:
        nonlocal count
        if exchange.method == "GET":
            await (models or reply(200, {"data": [{"id": "m"}]}))(exchange)
            return
        count += 1
        await (fault if count % 2 == 0 else reply(200, chat_body("Score: 0.5")))(exchange)

    return answer


def _words(folder: Path, url: str, *more: str | Path) -> list[str | Path]:
    (folder / "in.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n{"prompt": "three"}\n')
    with_password = url.replace("http://", f"http://user:{quote(PASSWORD, safe='')}@")
    return [
        "collect", "--input", folder / "in.jsonl", "--output", folder / "out" / "r.jsonl", "--base-url",
        f"{with_password}/v1", "--api-key-env", "THE_KEY", "--header-env", "X-Token=THE_TOKEN", "--max-attempts", "2",
        "--backoff-base", "0.001", "--retry-after-cap", "0.01", "--num-repeats", "2",
        "--num-samples-in-parallel", "1", *more,
    ]  # fmt: skip


def _start_with_keys(pairmill: Commands, words: list[str | Path]) -> Done:
    return pairmill.run(*words, THE_KEY=KEY, THE_TOKEN=TOKEN, JUDGE_KEY=JUDGE_KEY)


def _assert_silent(done: Done, folder: Path) -> None:
    """No canary, in any spelling, in what the command said or wrote. The command must have said something."""
    assert done.out or done.err
    written = [path for path in folder.rglob("*") if path.is_file() and path.name != "in.jsonl"]
    places = {"stdout": done.out, "stderr": done.err} | {path.name: path.read_text("latin-1") for path in written}
    for place, text in places.items():
        for canary in CANARIES:
            assert canary not in text, f"{canary} stands in {place}: {text[max(0, text.find(canary) - 200) :][:400]}"
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", FAULTS)
async def test_an_echoed_key_stands_nowhere(tmp_path: Path, pairmill: Commands, name: str) -> None:
    """Key, token and password planted at once; the server sends them back; all output is searched, the run file too."""
    async with FaultyServer(_serve(FAULTS[name])) as server:
        done = await asyncio.to_thread(_start_with_keys, pairmill, _words(tmp_path, server.url))
        assert any(KEY in exchange.headers.get("authorization", "") for exchange in server.requests)
        assert any(exchange.headers.get("x-token") == TOKEN for exchange in server.requests)
    assert done.code in (0, 3), done.err
    assert (tmp_path / "out" / "r.run.json").exists()
    _assert_silent(done, tmp_path)


@pytest.mark.parametrize(
    "name", ["401", "403, plain", "500", "a redirect", "HTML with 200", "no HTTP", "a status line"]
)
async def test_a_key_echoed_before_the_run_stands_nowhere(tmp_path: Path, pairmill: Commands, name: str) -> None:
    """The same from the list of models, which is asked first: the run ends with one line."""
    async with FaultyServer(_serve(FAULTS[name], models=FAULTS[name])) as server:
        done = await asyncio.to_thread(_start_with_keys, pairmill, _words(tmp_path, server.url))
    done.one_line()
    _assert_silent(done, tmp_path)


async def test_a_model_named_like_the_key_is_not_shown(tmp_path: Path, pairmill: Commands) -> None:
    """Names of models come from the server, and go onto the screen and into the run file."""
    listed = _echo(200, '{"data": [{"id": "@"}, {"id": "§"}]}')
    async with FaultyServer(_serve(FAULTS["an answer"], models=listed)) as server:
        several = await asyncio.to_thread(_start_with_keys, pairmill, _words(tmp_path, server.url))
    several.one_line()
    _assert_silent(several, tmp_path)


async def test_a_key_file_is_as_silent(tmp_path: Path, pairmill: Commands) -> None:
    """The key from a file, with the line break that editors put at its end."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key").write_text(KEY + "\n")
    work = tmp_path / "work"
    work.mkdir()
    async with FaultyServer(_serve(FAULTS["500"])) as server:
        words = _words(work, server.url)
        at = words.index("--api-key-env")
        words[at : at + 2] = ["--api-key-file", tmp_path / "keys" / "key"]
        done = await asyncio.to_thread(_start_with_keys, pairmill, words)
    assert done.code == 3
    _assert_silent(done, work)


@pytest.mark.parametrize(
    "name", ["401", "500", "502, HTML", "HTML with 200", "an answer", "an escaped answer", "no HTTP"]
)
async def test_a_judges_key_stands_nowhere(tmp_path: Path, pairmill: Commands, name: str) -> None:
    """The judge's server has a key of its own, and echoes it; it never sees the model's."""

    async with (
        FaultyServer(_serve(reply(200, chat_body("fine")))) as model,
        FaultyServer(_serve(FAULTS[name])) as judge,
    ):
        spec = f"judge:api_key_env=JUDGE_KEY,model=m,url={judge.url}/v1"
        done = await asyncio.to_thread(_start_with_keys, pairmill, _words(tmp_path, model.url, "--verifier", spec))
        seen = [value for exchange in judge.requests for value in exchange.headers.values()]
    assert any(JUDGE_KEY in value for value in seen)
    assert not any(KEY in value for value in seen)
    assert done.code in (0, 3), done.err
    _assert_silent(done, tmp_path)


async def test_what_is_said_on_interrupt_holds_no_password(tmp_path: Path, pairmill: Commands) -> None:
    """The command to go on with is the one that was typed, without the password that stood in its URL."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.2)
        await reply(200, chat_body())(exchange)

    async with FaultyServer(_serve(slow)) as server:
        words = _words(tmp_path, server.url)

        def interrupted() -> Done:
            run = pairmill.start(*words, THE_KEY=KEY, THE_TOKEN=TOKEN)
            run.until(lambda: bool(run.reports()))
            run.signal(signal.SIGINT)
            return run.wait()

        done = await asyncio.to_thread(interrupted)
    assert done.code == 130
    assert "--resume" in done.err
    _assert_silent(done, tmp_path)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--dry-run"], 0),
        (["--num-repeat", "3"], 2),
        (["--temperature", "hot"], 2),
        (["--header", "X-Token=@"], 2),
        (["--verifier", "http:http://user:@@127.0.0.1:9"], 2),
        (["--verifier", "judge:url=http://user:@@127.0.0.1:9/v1,model=m"], 2),
    ],
    ids=["dry run", "unknown flag", "bad value", "a header twice", "verifier with a password", "judge with a password"],
)
async def test_what_is_checked_before_any_request_shows_no_key(
    tmp_path: Path, pairmill: Commands, more: list[str], code: int
) -> None:
    """A dry run shows the first request, and errors show what was given: neither shows a secret."""
    given = [text.replace("@@", quote(PASSWORD, safe="") + "@").replace("=@", "=x") for text in more]
    done = await asyncio.to_thread(_start_with_keys, pairmill, _words(tmp_path, "http://127.0.0.1:9", *given))
    assert done.code == code, done.err
    _assert_silent(done, tmp_path)

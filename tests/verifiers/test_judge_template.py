"""`judge`: the question: a template of the user's own, a reference, conversations."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.errors import UsageError, VerifierSetupError
from collector.records.rows import Task
from tests.verifiers.judged import score, spec
from tests.verifiers.make import build, make_reply, make_row
from tests.verifiers.model_server import ScoringServer, always


async def test_a_template_of_the_users_own(server: ScoringServer, tmp_path: Path) -> None:
    """The row's fields, the reference and the limits stand in it; what the row lacks is said before any request."""
    path = tmp_path / "rubric.txt"
    path.write_text("{topic} {verdicts.0} {{x}} {min}-{max}\n{reference}\n{answer}", encoding="utf-8")
    fields = {"topic": "birds", "verifier_metadata": {"verdicts": [3]}, "gold": 41}
    await score(server, f"template={path},reference=gold,max=9,min=-5", "{topic}", **fields)
    question = server.bodies[-1]["messages"][0]["content"]
    assert question.startswith("birds 3 {x} -5-9\n<reference ")
    assert "\n41\n</reference " in question
    assert "\n{topic}\n</answer " in question
    verifier = build(spec(server, f"template={path},reference=gold"))
    assert verifier.check(make_row(fields)) is None
    assert "'topic'" in str(verifier.check(make_row({"gold": "x"})))
    assert str(verifier.check(make_row({"topic": "x"}))).endswith("name another with reference=")
    assert verifier.code_digest != build(spec(server)).code_digest is None


async def test_the_template_of_the_docs(server: ScoringServer, tmp_path: Path) -> None:
    """The example of docs/verifiers.md works as it stands there, with the flags beside it."""
    docs = (Path(__file__).parents[2] / "docs" / "verifiers.md").read_text()
    path = tmp_path / "teacher.txt"
    path.write_text(re.findall(r"^```text\n(.*?)^```", docs, re.DOTALL | re.MULTILINE)[0])
    flags = re.findall(r"template=teacher.txt(\S*)", docs)[0]
    server.say = always("Sound.\n\nScore: 2")
    verdict = await score(server, f"template={path}{flags}", subject="physics", expected_answer="9.81")
    assert verdict.reward == 1.0
    assert server.bodies[-1]["messages"][0]["content"].startswith("You are a strict teacher of physics.\n\n<prompt ")


async def test_the_built_in_question_may_show_a_reference(server: ScoringServer) -> None:
    """reference= adds a section, and every row must have it; a number is text too."""
    verdict = await score(server, "reference=gold", gold=42, prompt="q")
    assert verdict.reward > 0
    assert "known to be right:\n\n<reference " in server.bodies[-1]["messages"][0]["content"]
    assert "'gold'" in str(build(spec(server, "reference=gold")).check(make_row({})))


async def test_conversations_and_tool_calls_are_shown(server: ScoringServer, tmp_path: Path) -> None:
    """A prompt of several messages stands under its roles; {transcript} shows what the final text leaves out."""
    path = tmp_path / "t.txt"
    path.write_text("{prompt}\n{transcript}", encoding="utf-8")
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    output: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "It is 42"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    messages = [{"role": "system", "content": "be terse"}, {"role": "user", "content": "what?"}]
    task = Task(replace(make_row({}), messages=messages), 0, {}, None)
    async with build(spec(server, f"template={path}")) as verifier:
        await verifier.verify(task, make_reply("It is 42", output=output))
    question = server.bodies[-1]["messages"][0]["content"]
    assert "[system]\nbe terse\n\n[user]\nwhat?" in question
    assert '(calls look with {"at": 1})\n\n[tool]\n42\n\n[assistant]\nIt is 42[image_url]' in question


def test_bad_templates(tmp_path: Path) -> None:
    """A template that does not show the answer, or has a brace too many, is refused before the run."""
    path = tmp_path / "t.txt"
    for text, message in (("grade it", "it has no {answer}"), ("  \n", "the file is empty"), ("{answer", "no field")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=re.escape(message)):
            build(f"judge:url=http://h,template={path}")
    path.write_bytes(b"\xff\xfe{answer}")
    with pytest.raises(VerifierSetupError, match="is no UTF-8 text"):
        build(f"judge:url=http://h,template={path}")

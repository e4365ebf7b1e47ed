"""Rollouts whose pairs strain a format: systems, several turns, tools, reasoning, refusals, odd text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.records.identity import prompt_id_of
from collector.records.messages import prompt_messages
from tests.pairing.make import Row, our_row, write_rows

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def call(number: int) -> Row:
    return {"id": f"c{number}", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def said(text: str, **more: Any) -> Row:
    return {"role": "assistant", "content": text, **more}


def asked(*prompt: Row, tools: Sequence[Row] = (), task: int = 0) -> Any:
    """rows(chosen, rejected) of one prompt: two rollouts with rewards 1 and 0."""

    def rows(chosen: Sequence[Row] | str, rejected: Sequence[Row] | str) -> list[Row]:
        made = []
        for index, answer in enumerate((chosen, rejected)):
            output = [said(answer)] if isinstance(answer, str) else list(answer)
            row = our_row(task, index, 1.0 - index, output=output)
            row["responses_create_params"]["input"] = list(prompt)
            if tools:
                row["responses_create_params"]["tools"] = list(tools)
            row["prompt_id"] = prompt_id_of(prompt_messages(list(prompt)), list(tools))
            made.append(row)
        return made

    return rows


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def system(text: str) -> Row:
    return {"role": "system", "content": text}


def tool_turns(number: int, last: str) -> list[Row]:
    return [
        said("", tool_calls=[call(number)]),
        {"role": "tool", "tool_call_id": f"c{number}", "content": "2"},
        said(last),
    ]


def straining_rows() -> list[Row]:
    """Two rollouts of each of a dozen prompts, one for each thing that a format may be unable to hold."""
    history = (user("Hi."), said("Hello!"), user("Add 1 and 1."))
    shared = tool_turns(9, "")[:2]
    kinds: list[list[Row]] = [
        asked(user("plain 0"), task=0)("Answer: good", "Answer: bad"),
        asked(system("Be brief."), user("plain 1"), task=1)("Answer: good", "Answer: bad"),
        asked(*history, task=2)("It is 2, I think.", "It is 3, I think."),
        asked(user("tools 3"), tools=[ADD], task=3)("No tool needed here.", "I will not tell."),
        asked(user("tools 4"), tools=[ADD], task=4)(tool_turns(1, "Two, it says."), tool_turns(2, "Three, it says.")),
        asked(user("reason 5"), task=5)([said("Good words.", reasoning_content="Because.")], "Other words."),
        asked(user("several 6"), task=6)([said("First."), user("Go on."), said("Last one.")], [said("Only one.")]),
        asked(user("shared 7"), task=7)([*shared, said("Well, two.")], [*shared, said("Well, three.")]),
        asked(user("space 8"), task=8)("  spaced out  \n", "\tand tabbed\u2028 "),
        asked(user("odd \U0001f600\u202e\u0000 9"), task=9)("odd \u0000\ud7ff answer", "rejected_\u2028\u0085 line"),
        asked(user("refuse 10"), task=10)("Sure, it is this.", [said("", refusal="I cannot.")]),
        asked(user("first"), system("late system"), user("last 11"), task=11)("Well then.", "No way."),
        asked(user("begin 12"), said("My answer is"), task=12)(" a good one", " a bad one"),
        asked(user("template 13"), task=13)("2023", "assistant"),
        asked(user("call 14"), tools=[ADD], task=14)([said("", tool_calls=[call(1)])], "I add them: 2."),
    ]
    return [row for rows in kinds for row in rows]


def straining_file(folder: Path, name: str = "r.jsonl") -> Path:
    return write_rows(folder / name, *straining_rows())

"""Every problem that a check can find: a stable name, what is wrong, what to do. docs/formats.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """`wrong` problems end the command with exit code 3; the others are told, and no more."""

    name: str
    sentence: str
    remedy: str
    wrong: bool = True


def _all(*problems: Problem) -> Mapping[str, Problem]:
    return {problem.name: problem for problem in problems}


PROBLEMS: Mapping[str, Problem] = _all(
    # the line
    Problem("not_json", "the line is no JSON", "write each row anew with a JSON library, one object a line"),
    Problem("not_object", "the line is JSON, but no object", "one object a line"),
    Problem("empty_line", "the line is empty", "take it out: loaders differ in what they make of it", wrong=False),
    Problem("no_rows", "the file holds no row", "look at what was to write it"),
    Problem(
        "file_kind",
        "the trainer does not read files of this kind",
        "write it anew: pairmill pair --output NAME.parquet, or NAME.jsonl",
    ),
    # what a row must have
    Problem("missing_key", "a key that the trainer reads is absent or null", "rename or add it"),
    Problem(
        "wrong_type", "a value is not of the type that the trainer reads", "write it as the target's example has it"
    ),
    Problem("empty_prompt", "the prompt is empty", "leave the row out"),
    Problem("empty_side", "a side says and calls nothing", "leave the row out"),
    Problem(
        "identical_sides", "both sides are the same: the row teaches nothing, and trainers take it", "leave it out"
    ),
    Problem(
        "reward_order", "the chosen side's reward is not above the rejected one's", "swap the sides, or leave it out"
    ),
    # messages
    Problem(
        "responses_items",
        "a message is an item of the Responses API: its text is lost, or the template fails",
        'write Chat messages, {"role", "content"}; pairmill pair makes them',
    ),
    Problem("bad_message", "a message is no object with a role", 'write {"role": ..., "content": ...}'),
    Problem("null_content", "a message's content is null, and the loader needs text", 'write "" in its place'),
    Problem(
        "content_parts",
        "a message's content is a list of parts: it vanishes under a template that expects text",
        "join the text parts into one string; images stand in a column of their own, where the trainer takes them",
    ),
    Problem(
        "reasoning_unsupported",
        "reasoning stands apart from the text, where the trainer never looks",
        "put it into the text",
    ),
    Problem(
        "tools_unsupported", "tools or calls of tools, which the trainer leaves out or fails on", "leave the row out"
    ),
    Problem(
        "tools_as_objects",
        "tools are objects: datasets merges the parameters of all rows into one structure, null where a tool has none",
        "write the list as one JSON string",
        wrong=False,
    ),
    Problem("tools_not_json", "tools are a string that is no JSON list", "write the list as one JSON string"),
    Problem(
        "several_messages",
        "a completion of several messages, where the trainer takes one",
        "keep the last, or move the shared turns into the prompt",
    ),
    Problem("not_assistant", "a completion does not end with the assistant", "end it with the assistant's message"),
    Problem(
        "tool_output_trained",
        "results of tools in a completion are trained on as if the model had said them",
        "split the conversation before its last turn, or mask them",
        wrong=False,
    ),
    Problem(
        "prefill",
        "the prompt ends with the assistant: the trainer closes it as a turn, and its meaning is lost",
        "move the beginning into both sides",
    ),
    Problem(
        "shared_start",
        "both sides begin with the same answer: a DPO trainer takes it into the prompt",
        "write the prompt as a column of its own",
        wrong=False,
    ),
    # images
    Problem(
        "image_count",
        "not as many places for images as images: the trainer fails, or puts them elsewhere",
        "one place for each, in order: <image> in the text, or an image part for TRL",
    ),
    Problem(
        "image_source",
        "an image is given in a way that the trainer does not open",
        "a path; TRL and ms-swift open http URLs and base64 data URIs too",
    ),
    Problem(
        "image_mark",
        "a text says <image>, <video> or <audio>: processors of some models take it for one",
        "write it another way",
        wrong=False,
    ),
    # the file as a whole
    Problem(
        "mixed_types",
        "a column has another type than in earlier rows: HF datasets refuses the file",
        "one type for the column, in all rows",
    ),
    Problem(
        "late_type",
        "a column that was null or absent gets its type late: HF datasets has settled it by then, and refuses the file",
        "put such a row first, or write Parquet with a schema",
    ),
    Problem("some_rows_only", "a column stands on some rows only", "write it on all rows, with one type", wrong=False),
    Problem(
        "chat_template_kwargs",
        "chat_template_kwargs on some rows only: the trainer fails at the first row without",
        "give it to all rows, or to none",
    ),
    Problem("too_many_columns", "more columns than are followed", "keep what varies in one JSON string", wrong=False),
    # one trainer's own
    Problem("task_name", "a column task_name: NeMo RL adds its own, and fails", "rename it"),
    Problem(
        "equal_ranks",
        "both completions have the same rank: NeMo RL refuses ties",
        "rank 0 for the chosen, 1 for the rejected",
    ),
    Problem("not_two", "not exactly two completions", "two a row: rank 0 and rank 1"),
    Problem(
        "alternation",
        "turns do not alternate between user and assistant: LLaMA-Factory skips the row",
        "merge neighbours of one role",
    ),
    Problem(
        "even_turns",
        "an even number of turns before the answer: LLaMA-Factory skips the row",
        "end the prompt with the user",
    ),
    Problem(
        "side_prefix",
        "a key begins with rejected_, positive_ or negative_: ms-swift takes it for a side",
        "keep metadata in one object under another name",
    ),
    Problem(
        "empty_content_calls", 'content "" beside tool_calls: Axolotl trains on its dummy question', "leave the row out"
    ),
    Problem(
        "template_text",
        "an answer is a piece of what chat templates write in front of it: Axolotl cuts it at the wrong place",
        "leave the row out",
    ),
    Problem(
        "spaced_ends",
        "an answer begins or ends with white space: where the template trims, Axolotl keeps its last character alone",
        "trim it",
    ),
    Problem(
        "prompt_differs",
        "the sides differ before their last message",
        "the same prompt in both; or explicit prompt, chosen, rejected",
    ),
    Problem("unknown_key", "a key that the service does not know", "take it out: the service checks its files"),
    Problem("label_not_bool", "the label is not true or false", "true for wanted, false for unwanted"),
    Problem(
        "neighbours",
        "two rows of one prompt are neighbours: KTO's KL term compares a completion with its own prompt",
        "spread them; pairmill pair --format trl-kto does",
    ),
    Problem("several_systems", "more than one system message, or one that is not first", "one, in front"),
)

"""Makes a pair fit a target's capabilities, by the policy, or says why it does not."""

from __future__ import annotations

from dataclasses import replace

from collector.records.rows import Message
from pairing.formats.base import Capabilities, Unfit
from pairing.formats.policy import UnfitPolicy
from pairing.formats.trajectory import other_names, renamed, shared_turns
from pairing.formats.turns import Sides

__all__ = ["fitted", "one_text", "simple_prompt", "split"]


def fitted(sides: Sides, holds: Capabilities, policy: UnfitPolicy) -> Sides:
    """The pair in a form that `holds`; `adapted` says what was done to it. Raises Unfit."""
    if not sides.prompt or sides.prompt[-1]["role"] == "assistant":
        raise Unfit("unfit_prompt_end")  # a prefill: trainers close it as a turn of its own
    if sides.tools and not holds.tools:
        raise Unfit("unfit_tools")
    sides = _as_trajectory(sides, holds, policy)
    if any(side[-1]["role"] != "assistant" for side in sides.both):
        raise Unfit("unfit_last_role")  # a run that stopped behind a call's result: nobody's last word to train on
    turns = [*sides.prompt, *sides.chosen, *sides.rejected]
    if not holds.tools and any(m["role"] == "tool" or "tool_calls" in m for m in turns):
        raise Unfit("unfit_tools")
    if not holds.reasoning and any("reasoning_content" in m for m in turns):
        sides = _without_reasoning(sides, policy)
    return sides


def one_text(side: list[Message]) -> str:
    """The text of a completion that is one assistant message and nothing but text. Raises Unfit."""
    (message,) = side
    if message.keys() - {"role", "content", "name"}:
        raise Unfit("unfit_tool_call" if "tool_calls" in message else "unfit_reasoning")
    if not message["content"].strip():
        raise Unfit("unfit_no_text")
    text: str = message["content"]
    return text


def simple_prompt(sides: Sides) -> tuple[str, str]:
    """(system text or "", user text) of a prompt of that form. Raises Unfit."""
    roles = [message["role"] for message in sides.prompt]
    if roles not in (["user"], ["system", "user"]):
        raise Unfit("unfit_prompt_turns")
    return (sides.prompt[0]["content"] if len(roles) == 2 else ""), sides.prompt[-1]["content"]


def _as_trajectory(sides: Sides, holds: Capabilities, policy: UnfitPolicy) -> Sides:
    """The sides with as many turns as the policy says and the target takes. Single answers stay as they are."""
    if all(len(side) == 1 for side in sides.both):
        return sides
    if holds.splits and policy.trajectory != "whole":
        sides = split(sides)
    if all(len(side) == 1 for side in sides.both):
        return sides
    if policy.trajectory != "last-turn":
        if holds.several_messages:
            return sides
        if not policy.last_turn:
            raise Unfit("unfit_several_messages")
    return sides.with_turns(sides.chosen[-1:], sides.rejected[-1:], "last_turn")


def split(sides: Sides) -> Sides:
    """The turns that both sides share moved into the prompt, with the chosen side's call ids."""
    turns = shared_turns(sides.chosen, sides.rejected)
    if not turns:
        return sides
    shared = sides.chosen[:turns]
    rejected = renamed(sides.rejected[turns:], other_names(shared, sides.rejected[:turns]))
    sides = replace(sides, prompt=[*sides.prompt, *shared])
    return sides.with_turns(sides.chosen[turns:], rejected, "shared_turns")


def _without_reasoning(sides: Sides, policy: UnfitPolicy) -> Sides:
    if not policy.inline_reasoning:
        raise Unfit("unfit_reasoning")
    sides = replace(sides, prompt=[_inlined(m) for m in sides.prompt])
    return sides.with_turns(
        [_inlined(m) for m in sides.chosen], [_inlined(m) for m in sides.rejected], "inline_reasoning"
    )


def _inlined(message: Message) -> Message:
    reasoning = message.get("reasoning_content")
    if reasoning is None:
        return message
    rest = {key: value for key, value in message.items() if key != "reasoning_content"}
    return rest | {"content": f"<think>\n{reasoning.strip()}\n</think>\n\n{message['content'].lstrip()}"}

"""Words a row's prompt as the settings say: a template for its user message, a system prompt in front.

A template with `{prompt}` is put around the row's own last user message; what stands before and behind that message
stays. One without makes the whole prompt, and the row needs none of its own. A system prompt takes the place of the
row's own leading system messages and of its `instructions`: chat templates refuse two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from collector.errors import InputError
from collector.prompts.forms import own_prompt
from collector.records.messages import messages_from_items
from collector.records.rows import JsonObject
from collector.settings import CollectSettings
from collector.templates import Template

__all__ = ["Wording", "plain_text"]

_PROMPT = "prompt"
_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Wording:
    """What a run does to each row's prompt: the template of its user message, that of the system message in front."""

    user: Template | None
    system: Template | None

    @classmethod
    def of(cls, settings: CollectSettings) -> Self | None:
        """The settings' wording; None when rows are asked as they are."""
        if settings.prompt_template is None and settings.system_prompt is None:
            return None
        user, system = (
            None if text is None else Template.parse(text, flag)
            for flag, text in (
                ("--prompt-template", settings.prompt_template),
                ("--system-prompt", settings.system_prompt),
            )
        )
        return cls(user, system)

    def prompt_of(
        self, fields: JsonObject, params: JsonObject, where: str, *, may_be_empty: bool = False
    ) -> list[Any] | str:
        """The row's prompt in its final words; takes `instructions` out of `params` where a system prompt replaces
        them. Raises InputError for a row that has not what it takes."""
        around_own = self._uses_prompt()
        own = own_prompt(fields, where, may_be_empty=may_be_empty) if self.user is None or around_own else None
        known = {**fields, _PROMPT: _user_text(own, where)} if around_own and own is not None else fields
        prompt = self._user_turn(own, known, where)
        if self.system is None:
            return prompt
        params.pop("instructions", None)
        items = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else _without_system(prompt)
        return [{"role": "system", "content": self.system.fill(known, where)}, *items]

    def _uses_prompt(self) -> bool:
        return any(template.uses(_PROMPT) for template in (self.user, self.system) if template is not None)

    def _user_turn(self, own: list[Any] | str | None, known: JsonObject, where: str) -> list[Any] | str:
        if self.user is None:
            assert own is not None  # noqa: S101 - read above where no template takes its place
            return own
        text = self.user.fill(known, where)
        if not text.strip():
            raise InputError(f"{where}: the template makes an empty prompt of this row")
        if not isinstance(own, list) or not self.user.uses(_PROMPT):
            return text
        place = _last_user(own, where)
        return [*own[:place], {**own[place], "content": text}, *own[place + 1 :]]


def plain_text(prompt: list[Any] | str) -> str | None:
    """The prompt as plain text, for completions: a string, or one user message behind one system message; None for
    any other conversation, which has no plain form that every model shares."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) != 2 or any(set(item) != {"role", "content"} for item in prompt):
        return None
    (first, system), (second, user) = ((item["role"], item["content"]) for item in prompt)
    if first != "system" or second != "user" or not isinstance(system, str) or not isinstance(user, str):
        return None
    return f"{system}\n\n{user}"


def _user_text(prompt: list[Any] | str, where: str) -> str:
    """What `{prompt}` stands for: the prompt's string, or the text of its last user message."""
    if isinstance(prompt, str):
        return prompt
    content = messages_from_items([prompt[_last_user(prompt, where)]])[0]["content"]
    if not isinstance(content, str):
        raise InputError(f"{where}: the last user message holds more than text: {{prompt}} cannot stand for it")
    return content


def _last_user(prompt: list[Any], where: str) -> int:
    for place in range(len(prompt) - 1, -1, -1):
        if prompt[place].get("role") == "user":
            return place
    raise InputError(f"{where}: the template wants {{prompt}}, and the row has no user message")


def _without_system(prompt: list[Any]) -> list[Any]:
    """The prompt without its leading system messages."""
    start = next((place for place, item in enumerate(prompt) if item.get("role") not in _SYSTEM), len(prompt))
    return prompt[start:]

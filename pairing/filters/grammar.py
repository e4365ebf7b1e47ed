"""The text of a filter -> nodes.

either   := both ("or" both)*
both     := negated ("and" negated)*
negated  := "not" negated | compared
compared := value [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in" | "~") value]
value    := number | "text" | 'text' | true | false | null | [value, ...] | (either) | len(value) | answer() | field
field    := name ("." (name | number))*          a name in backquotes may hold any character
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from collector.errors import UsageError
from collector.terminal import plain
from pairing.filters.nodes import (
    SIGNS,
    Both,
    Compare,
    Either,
    Field,
    FullText,
    Length,
    Listed,
    Literal,
    Node,
    Not,
)

__all__ = ["parse"]

_TOKEN = re.compile(
    r"""(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>(?:[^\W\d]\w*|`[^`]+`)(?:\.(?:\w+|`[^`]+`))*)
      | (?P<sign>==|!=|<=|>=|[<>~()\[\],])""",
    re.VERBOSE,
)
_PART = re.compile(r"`[^`]+`|\w+")
_WORDS = {"true": True, "false": False, "null": None}
_KEPT = frozenset({"and", "or", "not", "in", *_WORDS})
_CALLS = frozenset({"len", "answer"})
_DEEPEST = 50
_LONGEST_PATTERN = 10_000
"""Characters: to compile a million of them takes many seconds."""
_AROUND = 60
"""Characters shown on either side of what is wrong."""
_END = "end"


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _unquoted(text: str) -> str:
    """Backslashes escape quotes and themselves alone: patterns are full of others."""
    return re.sub(r"\\([\\'\"])", r"\1", text[1:-1])


_LITERALS: Mapping[str, Callable[[str], object]] = {
    "number": _number,
    "text": _unquoted,
    "constant": _WORDS.__getitem__,
}


def parse(text: str) -> Node:
    """The expression. Raises UsageError, with a caret under the place, for what is none."""
    reader = _Reader(text, _tokens(text))
    node = reader.either()
    if reader.now.kind != _END:
        raise reader.wrong("expected `and`, `or` or the end")
    return node


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            meant = {"=": "; equality is `==`", "&": "; write `and`", "|": "; write `or`", "!": "; write `not`"}
            raise _error(text, at, f"nothing begins with {text[at]!r}{meant.get(text[at], '')}")
        kind = match.lastgroup or ""
        if kind == "name" and match[0] in _KEPT:
            kind = "constant" if match[0] in _WORDS else "word"
        found.append(_Token(kind, match[0], at))
        at = match.end()
    return [*found, _Token(_END, "", len(text))]


class _Reader:
    """Goes through the tokens once; each method reads its part of the grammar."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text, self._tokens = text, tokens
        self._next = 0
        self._depth = 0

    @property
    def now(self) -> _Token:
        return self._tokens[self._next]

    def wrong(self, what: str) -> UsageError:
        found = f", found {self.now.text!r}" if self.now.text else ", found the end"
        return _error(self._text, self.now.at, what + found)

    def either(self) -> Node:
        members = [self._both()]
        while self._took("or"):
            members.append(self._both())
        return Either(tuple(members)) if len(members) > 1 else members[0]

    def _both(self) -> Node:
        members = [self._negated()]
        while self._took("and"):
            members.append(self._negated())
        return Both(tuple(members)) if len(members) > 1 else members[0]

    def _negated(self) -> Node:
        self._deeper()
        node = Not(self._negated()) if self._took("not") else self._compared()
        self._depth -= 1
        return node

    def _compared(self) -> Node:
        left = self._value()
        sign = self._sign()
        if sign is None:
            return left
        at = self.now.at
        right = self._value()
        if sign == "~":
            self._check_pattern(right, at)
        if self.now.text in SIGNS:
            raise self.wrong("comparisons do not chain: join two with `and`")
        return Compare(sign, left, right)

    def _sign(self) -> str | None:
        if self._took("not"):
            self._expect("in")
            return "not in"
        if self.now.kind in ("sign", "word") and self.now.text in SIGNS:
            self._next += 1
            return self._tokens[self._next - 1].text
        return None

    def _value(self) -> Node:
        token = self.now
        self._next += 1
        if token.kind in _LITERALS:
            return Literal(_LITERALS[token.kind](token.text))
        if token.text in _CALLS and self.now.text == "(":  # else it is a field of that name
            return self._call(token.text)
        if token.kind == "name":
            return Field(tuple(part.strip("`") for part in _PART.findall(token.text)))
        if token.text in ("(", "["):
            return self._list() if token.text == "[" else self._grouped()
        self._next -= 1
        raise self.wrong("expected a field, a number, a text, true, false, null, a list, len(...), answer() or (")

    def _grouped(self) -> Node:
        node = self.either()
        self._expect(")")
        return node

    def _call(self, name: str) -> Node:
        self._expect("(")
        self._deeper()
        node: Node = Length(self._value()) if name == "len" else FullText()
        self._depth -= 1
        self._expect(")")
        return node

    def _list(self) -> Node:
        members: list[Node] = []
        self._deeper()
        while self.now.text != "]":
            members.append(self._value())
            if self.now.text != "]":
                self._expect(",")
        self._next += 1
        self._depth -= 1
        return Listed(tuple(members))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _error(self._text, self.now.at, f"nested more than {_DEEPEST} deep")

    def _took(self, word: str) -> bool:
        found = self.now.kind == "word" and self.now.text == word
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if self.now.text != text:
            raise self.wrong(f"expected `{text}`")
        self._next += 1

    def _check_pattern(self, node: Node, at: int) -> None:
        regex: Any = importlib.import_module("regex")  # as nodes does
        if not isinstance(node, Literal) or not isinstance(node.it, str):
            raise _error(self._text, at, "a pattern is a text in quotes")
        if len(node.it) > _LONGEST_PATTERN:
            raise _error(self._text, at, f"a pattern has {_LONGEST_PATTERN:,} characters at most")
        try:
            regex.compile(node.it)
        except regex.error as error:
            raise _error(self._text, at, f"no regular expression: {error}") from None
        except RecursionError:
            raise _error(self._text, at, "no regular expression: nested too deep") from None


def _error(text: str, at: int, what: str) -> UsageError:
    """One line, as every error: the caret stands in the expression, before what is wrong."""
    first, last = max(at - _AROUND, 0), at + _AROUND
    before, rest = plain(text[first:at]), plain(text[at:last])
    space = " " if text[:at][-1:].isspace() and before else ""
    begins, goes_on = "..." if first else "", "..." if last < len(text) else ""
    return UsageError(f"--where: {what} (column {at + 1}): {begins}{before}{space}^{rest}{goes_on}")

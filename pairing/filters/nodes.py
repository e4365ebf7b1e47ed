"""What a filter means: each node gives the value of its part of the expression for one row.

Values are JSON's. A field that the row lacks is null. Null and values of two kinds have no order: `<` and its like
are false on them, and so are `in` and `~`; `==` and `!=` are never in doubt. true is no 1. `len` of what has none is
null. `and`, `or` and `not` take null, false, 0, "" and [] for false.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Both", "Compare", "Either", "Field", "FullText", "Length", "Listed", "Literal", "Node", "Not", "Row"]

_SECONDS = 0.5
"""For one search of a pattern: the text it meets is the model's."""
_MOST_DIGITS = 9
"""Of a place in a list."""


@dataclass(frozen=True, slots=True)
class Row:
    """What an expression looks at: the fields by name, and how to get the answer's text."""

    fields: Mapping[str, Any]
    answer: Callable[[], str]


class Node(Protocol):
    def value(self, row: Row) -> Any: ...

    def fields(self) -> Iterator[str]:
        """The row's own fields that it looks at."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    it: Any

    def value(self, row: Row) -> Any:
        return self.it

    def fields(self) -> Iterator[str]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Field:
    """A path into the row: names into objects, numbers into lists."""

    path: tuple[str, ...]

    def value(self, row: Row) -> Any:
        found = row.fields.get(self.path[0])
        for name in self.path[1:]:
            if isinstance(found, Mapping):
                found = found.get(name)
            elif isinstance(found, list):
                found = _member(found, name)
            else:
                return None
        return found

    def fields(self) -> Iterator[str]:
        yield self.path[0]


@dataclass(frozen=True, slots=True)
class FullText:
    """`answer()`: the final text of the answer."""

    def value(self, row: Row) -> Any:
        return row.answer()

    def fields(self) -> Iterator[str]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Length:
    """`len(x)`: characters of a text, members of a list or an object."""

    of: Node

    def value(self, row: Row) -> Any:
        found = self.of.value(row)
        return len(found) if isinstance(found, str | list | Mapping) else None

    def fields(self) -> Iterator[str]:
        return self.of.fields()


@dataclass(frozen=True, slots=True)
class Listed:
    members: tuple[Node, ...]

    def value(self, row: Row) -> Any:
        return [member.value(row) for member in self.members]

    def fields(self) -> Iterator[str]:
        for member in self.members:
            yield from member.fields()


@dataclass(frozen=True, slots=True)
class Compare:
    """`left sign right`, with a sign of SIGNS."""

    sign: str
    left: Node
    right: Node

    def value(self, row: Row) -> Any:
        return SIGNS[self.sign](self.left.value(row), self.right.value(row))

    def fields(self) -> Iterator[str]:
        yield from self.left.fields()
        yield from self.right.fields()


@dataclass(frozen=True, slots=True)
class Not:
    of: Node

    def value(self, row: Row) -> Any:
        return not self.of.value(row)

    def fields(self) -> Iterator[str]:
        return self.of.fields()


@dataclass(frozen=True, slots=True)
class Both:
    """`and` between all members: a chain is one node, so that a long one is no deep one."""

    members: tuple[Node, ...]

    def value(self, row: Row) -> Any:
        return all(member.value(row) for member in self.members)

    def fields(self) -> Iterator[str]:
        for member in self.members:
            yield from member.fields()


@dataclass(frozen=True, slots=True)
class Either:
    """`or` between all members."""

    members: tuple[Node, ...]

    def value(self, row: Row) -> Any:
        return any(member.value(row) for member in self.members)

    def fields(self) -> Iterator[str]:
        for member in self.members:
            yield from member.fields()


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _member(found: list[Any], name: str) -> Any:
    """Digits alone count: `int` knows more of them than JSON, and stops at thousands."""
    if not (name.isascii() and name.isdigit() and len(name) <= _MOST_DIGITS):
        return None
    return found[int(name)] if int(name) < len(found) else None


def _equal(left: Any, right: Any) -> bool:
    """JSON's equality: Python's, but that true is no 1, inside of lists and objects either."""
    if left != right or isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, list):
        return all(map(_equal, left, right))
    if isinstance(left, Mapping):
        return all(_equal(value, right[key]) for key, value in left.items())
    return True


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        alike = (_number(left) and _number(right)) or (isinstance(left, str) and isinstance(right, str))
        return alike and compare(left, right)

    return holds


def _within(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    if isinstance(right, Mapping):
        return isinstance(left, str) and left in right
    return isinstance(right, list) and any(_equal(left, member) for member in right)


def _matches(left: Any, right: Any) -> bool:
    if not (isinstance(left, str) and isinstance(right, str)):
        return False
    regex: Any = importlib.import_module("regex")  # unlike `re` it keeps to a time limit
    try:
        return regex.search(right, left, timeout=_SECONDS) is not None
    except TimeoutError:
        return False


SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _within,
    "not in": lambda left, right: not _within(left, right),
    "~": _matches,
}

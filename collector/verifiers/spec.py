"""Reads a verifier specification, `NAME[:key=value,...]`, and says clearly what is wrong with one."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from collector.errors import VerifierSetupError

__all__ = ["Parameters", "PartSpec", "read_parameters", "read_part", "split_spec"]

_PART = re.compile(r"(?:(?P<weight>[^:*=]*)\*)?(?:(?P<label>[a-z][a-z0-9_]*)=)?(?P<spec>.*)", re.DOTALL)
"""A star or an equals sign behind the first colon belongs to the verifier: to its URL, path or pattern."""
_NAME = re.compile(r"[a-z_]+")
_LARGEST = 1e9
"""No count, time or tolerance that means anything is larger; servers, clocks and the kernel refuse what is."""
_LONGEST = 1e7
"""Seconds, as for the run's own time limits."""
_TRUE = frozenset({"true", "yes", "on", "1", ""})
_FALSE = frozenset({"false", "no", "off", "0"})


class Parameters:
    """The parameters of one specification, by name. Every reader raises VerifierSetupError naming the parameter."""

    def __init__(self, verifier: str, values: dict[str, str]) -> None:
        self.verifier = verifier
        self._values = values

    def text(self, name: str, default: str) -> str:
        """The value as it was written; `default` when it was not given. Empty values are refused."""
        value = self._values.get(name, default)
        if name in self._values and not value:
            raise self.error(name, "give a value")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """true/yes/on/1 or false/no/off/0; the bare name means true."""
        value = self._values.get(name, str(default)).lower()
        if value not in _TRUE | _FALSE:
            raise self.error(name, "give true or false")
        return value in _TRUE

    def number(self, name: str, default: float, *, positive: bool = False, most: float = _LARGEST) -> float:
        """A number from 0 to `most`; more than 0 when `positive`."""
        try:
            value = float(self._values.get(name, default))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            raise self.error(name, f"give a number, {'more than 0' if positive else '0 or more'}")
        if value > most:
            raise self.error(name, f"give {most:.0f} at most")
        return value

    def seconds(self, name: str, default: float) -> float:
        """A time, more than 0."""
        return self.number(name, default, positive=True, most=_LONGEST)

    def count(self, name: str, default: int, *, most: float = _LARGEST) -> int:
        """A whole number from 1 to `most`."""
        value = self.number(name, default, positive=True, most=most)
        if value != int(value):
            raise self.error(name, "give a whole number")
        return int(value)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of `choices`; the first one when it was not given."""
        value = self._values.get(name, choices[0])
        if value not in choices:
            raise self.error(name, f"give one of {', '.join(choices)}")
        return value

    def given(self, name: str) -> bool:
        return name in self._values

    def error(self, name: str, help_text: str) -> VerifierSetupError:
        """The error for a value that will not do."""
        return VerifierSetupError(f"--verifier {self.verifier}: {name}={self._values.get(name, '')}: {help_text}")


@dataclass(frozen=True, slots=True)
class PartSpec:
    """One part of a mix as it was written: `[WEIGHT*][LABEL=]SPEC`."""

    weight: str | None
    label: str | None
    spec: str

    @property
    def plain(self) -> bool:
        """Whether it is a specification and nothing else."""
        return self.weight is None and self.label is None


def read_part(text: str) -> PartSpec:
    """Takes a part of a mix apart; what its weight and its specification are worth is not looked at."""
    found = _PART.fullmatch(text)
    if found is None:  # the pattern matches every text
        return PartSpec(None, None, text)
    return PartSpec(found["weight"], found["label"], found["spec"])


def split_spec(spec: str) -> tuple[str, str]:
    """(name, the rest). A bare URL is the `http` verifier's."""
    if spec.startswith(("http://", "https://")):
        return "http", spec
    name, _, rest = spec.partition(":")
    return name.strip(), rest


def read_parameters(
    verifier: str, rest: str, accepted: Collection[str], *, last: str | None = None, bare: bool = False
) -> Parameters:
    """The parameters in `rest`. `last` names the one whose value runs to the end of the specification.

    Its value may hold commas, colons and equals signs, so it must come last; `bare` says that its name may be left
    out. Raises VerifierSetupError for an unknown or repeated parameter, and for one that stands behind `last` by
    mistake.
    """
    names = [*accepted, *([last] if last else [])]
    values: dict[str, str] = {}
    while rest:
        name, value, rest = _next_parameter(rest, names, last, bare)
        if name not in names:
            raise VerifierSetupError(
                f"--verifier {verifier}: unknown parameter {name!r}; it takes {', '.join(names) or 'none'}"
            )
        if name in values:
            raise VerifierSetupError(f"--verifier {verifier}: {name} is given twice")
        if name == last:
            _refuse_swallowed(verifier, name, value, names)
        values[name] = value
    return Parameters(verifier, values)


def _next_parameter(rest: str, names: Sequence[str], last: str | None, bare: bool) -> tuple[str, str, str]:
    """(name, value, what is left of the specification)."""
    item, _, left = rest.partition(",")
    name, equals, value = item.partition("=")
    if last and bare and name not in names and not (equals and _NAME.fullmatch(name)):
        return last, rest, ""
    if name == last and equals:
        return last, rest.partition("=")[2], ""
    return name.strip(), value.strip(), left


def _refuse_swallowed(verifier: str, last: str, value: str, names: Sequence[str]) -> None:
    """`pattern=a,ignore_case=true` would silently look for that text."""
    behind = re.search(rf",({'|'.join(map(re.escape, names))})=", value)
    if behind:
        raise VerifierSetupError(
            f"--verifier {verifier}: {last} runs to the end of the specification: put {behind[1]} before it"
        )

"""What a format is: how a pair becomes a trainer's record, and what that record can hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pairing.formats.policy import SKIP, UnfitPolicy
from pairing.pairs import Pair

__all__ = ["ADAPTED", "Capabilities", "Format", "Unfit"]

ADAPTED = "_adapted"
"""A key of a record, never written: what a policy did to it."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target's records can hold. What they cannot is never left out in silence: the pair is dropped with a
    counted reason (`unfit_...`), made to fit by a policy and counted, or the text is kept in another place that
    `notes` names."""

    several_messages: bool
    """More than one message in a completion."""
    tools: bool
    """Tool definitions, and calls of tools in messages."""
    reasoning: bool
    """Reasoning apart from the text."""
    parts: bool
    """Content that is no text, of any kind (images, files), as it came."""
    rectangular: bool
    """Every row has the same columns of the same types, as HF datasets demands."""
    loss: str
    """Which turns of a completion are trained on."""
    notes: str = ""
    null_content: bool = False
    """The loader takes messages whose content is null. We never write them; `pairmill check` asks."""
    conversation: bool = True
    """The prompt may have several turns; otherwise it is one user message, with or without a system message."""
    splits: bool = True
    """Turns that both sides share can move into the prompt; not where a record is whole conversations, or bytes of the
    row."""
    images: frozenset[str] = frozenset()
    """How images in the user's messages may be given: `path`, `url`, `data` (a data URI). Empty: no images."""
    as_it_came: bool = False
    """Prompt and sides are the row's own bytes: how they end and what they call is their reader's affair."""


class Unfit(Exception):  # noqa: N818 - a reason to drop one pair, counted in the funnel
    """The pair cannot be written in this format without loss; `reason` is a stable name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Format(ABC):
    """A target. A record is made first, then written with the columns that the whole file has: a column that one row
    needs stands on every row. `encode(orjson.loads(encode(record, few)), more)` equals `encode(record, more)`, so that
    rows already written can get a column that came later. A subclass takes over what has a default here."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    settled: ClassVar[frozenset[str]] = frozenset()
    """Optional columns whose filler already has the column's type."""
    spread: ClassVar[bool] = False
    """Rows of one prompt must not be neighbours in the file."""
    verbatim: ClassVar[bool] = False
    """What `splice` gives is a line that `rows`, `columns`, `adapted` and `encode` leave as it is. Asked of the class
    itself: a subclass may make another of it."""
    parquet_only: ClassVar[bool] = False
    """The trainer reads Parquet and nothing else."""

    def __init__(self, unfit: UnfitPolicy = SKIP) -> None:
        self.unfit = unfit

    @abstractmethod
    def record(self, pair: Pair) -> Any:
        """The pair's record with only the columns it needs. Raises Unfit."""

    def splice(self, prompt: bytes, chosen: bytes, rejected: bytes, meta: Mapping[str, Any]) -> bytes | None:
        """The record of a pair whose prompt and sides are one message of plain text each, given as the row's bytes:
        the same as `record` gives. None when the bytes cannot stand as they are, and always for a format that is not
        put together from them."""
        return None

    @property
    def splices(self) -> bool:
        """Whether records may be put together by `splice` alone, and go to the file as they are."""
        return bool(vars(type(self)).get("verbatim", False))

    def rows(self, record: Any) -> Sequence[Any]:
        """The rows that the record consists of: itself, where a format does not say otherwise."""
        return (record,)

    def columns(self, record: Any) -> frozenset[str]:
        """The optional columns this row needs."""
        return frozenset()

    @abstractmethod
    def encode(self, record: Any, columns: frozenset[str]) -> bytes:
        """One line of JSON, without newline, with exactly these optional columns."""

    def adapted(self, record: Any) -> tuple[str, ...]:
        """What the policy did to this record, in stable names; empty for a pair that fits as it is."""
        return ()

    def shape(self, columns: frozenset[str]) -> dict[str, Any] | None:
        """The record's types, for Parquet and the dataset card: a type, [items] or {field: shape}. None for a record
        without fixed types."""
        return None

"""The journal against a model of lists: append, tear, crash, die inside any call, heal, resume, seal, in any order."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collector.errors import OutputError
from collector.journal import SealResult, StreamPaths
from collector.journal.disk import Disk
from collector.journal.incomplete import unmark
from collector.journal.seal import seal
from tests.journal.helpers import FaultyDisk, Key, Killed, MortalDisk, QuickDisk, opened, row

Row = tuple[Key, bytes]

_TASKS, _REPEATS = 3, 2
_ALL = [(task, repeat) for task in range(_TASKS) for repeat in range(_REPEATS)]
_DISK = QuickDisk()
_Keys = st.lists(st.tuples(st.integers(0, _TASKS - 1), st.integers(0, _REPEATS - 1)), max_size=5)


class JournalMachine(RuleBasedStateMachine):
    """`journal` is what stands in the rollouts file, `aside` in the incomplete one, each as (key, line); `failures`
    the lines of the failures file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.paths = StreamPaths.for_output(self.folder / "rollouts.jsonl")
        self.journal: list[Row] = []
        self.aside: list[Row] = []
        self.failures: list[bytes] = []
        self.made = 0

    def teardown(self) -> None:
        """Whatever happened: a last run that is left alone completes the output, with the first durable row of each
        key."""
        known = self._known()
        asyncio.run(self._resume(self._lines([key for key in _ALL if key not in known]), seal=True))
        sealed = self._rows(self.paths.rollouts)
        assert [key for key, _ in sealed] == _ALL
        assert all(dict(sealed)[key] == line for key, line in known.items())
        left = {path.name for path in self.folder.iterdir()} - {self.paths.failures.name}
        assert left == {self.paths.rollouts.name, self.paths.run.name}
        shutil.rmtree(self.folder)

    @rule(keys=_Keys)
    def run(self, keys: list[Key]) -> None:
        """A run that appends rows, duplicates among them, and is killed before its seal."""
        asyncio.run(self._resume(self._lines(keys)))

    @rule(keys=_Keys)
    def run_and_seal(self, keys: list[Key]) -> None:
        result = asyncio.run(self._resume(self._lines(keys), seal=True))
        assert result is not None
        self._seal_model(result)

    @rule(keys=_Keys, call=st.integers(1, 45))
    def run_and_seal_on_a_bad_disk(self, keys: list[Key], call: int) -> None:
        """The disk fails somewhere, the run stops; another one, in order, must find all that was acknowledged."""
        try:
            asyncio.run(self._resume(self._lines(keys), seal=True, disk=FaultyDisk(call)))
        except OutputError:
            asyncio.run(self._resume([]))
        else:
            self._seal_model()

    @rule(keys=_Keys, call=st.integers(1, 45), after=st.booleans())
    def die_inside_a_call(self, keys: list[Key], call: int, after: bool) -> None:
        """Killed while opening, healing, taking back, appending or sealing; what stands then is found by the next."""
        try:
            asyncio.run(self._resume(self._lines(keys), seal=True, disk=MortalDisk(call, after=after)))
        except (OutputError, Killed):
            pass
        else:
            self._seal_model()

    @rule(keys=_Keys, call=st.integers(4, 14), after=st.booleans())
    def die_while_sealing(self, keys: list[Key], call: int, after: bool) -> None:
        """Killed inside the nth call of the seal itself: between any two of its steps."""
        disk = MortalDisk(sys.maxsize, after=after)
        try:
            asyncio.run(self._resume(self._lines(keys), seal=True, disk=disk, die_in_seal=call))
        except (OutputError, Killed):
            pass
        else:
            self._seal_model()

    @precondition(lambda self: self.paths.rollouts.exists())
    @rule(late=st.none() | st.sampled_from(_ALL))
    def seal_alone(self, late: Key | None) -> None:
        """A seal without a run before it, maybe with a whole row that nobody was told of: rows beside the journal from
        an earlier seal are not written over."""
        if late is not None and not _is_torn(self.paths.rollouts):
            ((_, line),) = self._lines([late])
            with self.paths.rollouts.open("ab") as file:
                file.write(line)
            self.journal.append((late, line))
        result = seal(self.paths, _REPEATS, _TASKS, disk=_DISK)
        # Rows that were taken back may make the journal whole and in order: then there is nothing to rewrite.
        if result.rewritten or (self.aside and not self.paths.incomplete.exists()):
            self._take_back()
            self._seal_model(result)
        assert (result.rows, result.incomplete_rows) == (len(self.journal), len(self.aside))

    @rule(key=st.sampled_from(_ALL), kept=st.none() | st.integers(0, 10**6), zeros=st.booleans())
    def tear(self, key: Key, kept: int | None, zeros: bool) -> None:
        """A write was under way: a part of a row, a whole one without or with its newline, or zeros stand at the end.
        A whole row is durable, though nobody was told."""
        files = (self.paths.rollouts, self.paths.failures)
        if not self.paths.run.exists() or any(_is_torn(path) for path in files):
            return
        ((_, line),) = self._lines([key])
        part = line if kept is None else b"\0" * (kept % 9000) if zeros else line[: kept % (len(line) + 1)]
        for path in files:
            with path.open("ab") as file:
                file.write(part)
        if part == line:
            self.journal.append((key, line))
            self.failures.append(line)

    @precondition(lambda self: not self.aside)
    @rule(data=st.data())
    def lose_the_end(self, data: st.DataObject) -> None:
        """Power was lost before a sync: the file ends at any byte; rows beyond it are gone, with them half a row."""
        content = self.paths.rollouts.read_bytes() if self.paths.rollouts.exists() else b""
        size = data.draw(st.integers(0, len(content)))
        if content:
            self.paths.rollouts.write_bytes(content[:size])
        end, kept = 0, 0
        for _, line in self.journal:
            end += len(line)
            kept += end <= size
        del self.journal[kept:]

    @invariant()
    def what_is_on_disk_is_what_the_model_has(self) -> None:
        assert self._rows(self.paths.rollouts) == self.journal
        assert self._rows(self.paths.incomplete) == self.aside
        assert self._read(self.paths.failures) == self.failures

    def _known(self) -> dict[Key, bytes]:
        """The row of each key that counts: the first durable one."""
        return dict(reversed(self.journal + self.aside))

    def _lines(self, keys: Sequence[Key]) -> list[Row]:
        self.made += 1
        return [(key, row(*key, f"run {self.made} row {place}")) for place, key in enumerate(keys)]

    async def _resume(
        self, lines: list[Row], *, seal: bool = False, disk: Disk = _DISK, die_in_seal: int = 0
    ) -> SealResult | None:
        """Opens, checks `done` against the model, appends one after another, and moves the model along."""
        known = self._known()
        acknowledged: list[Row] = []
        try:
            async with opened(self.paths, resume=True, disk=disk) as journal:
                assert len(journal.done) == len(known)
                assert all(key in journal.done for key in known)
                self._take_back()
                for key, line in lines:
                    await journal.append_failure(line)
                    self.failures.append(line)
                    await journal.append(line)
                    self.journal.append((key, line))
                    acknowledged.append((key, line))
                if die_in_seal and isinstance(disk, MortalDisk):
                    disk.fail_at = disk.calls + die_in_seal
                return await journal.seal(_TASKS) if seal else None
        except (OutputError, Killed):
            self._look(known, acknowledged)
            raise

    def _take_back(self) -> None:
        there = {key for key, _ in self.journal}
        self.journal += [(key, line) for key, line in self.aside if key not in there]
        self.aside = []

    def _look(self, known: dict[Key, bytes], acknowledged: list[Row]) -> None:
        """After a fault the layout may be any between before and after: the rows that count may not change."""
        failures = self._read(self.paths.failures)
        assert failures[: len(self.failures)] == self.failures
        self.failures = failures
        self.journal = self._rows(self.paths.rollouts)
        self.aside = self._rows(self.paths.incomplete)
        found = self._known()
        for key, line in [*known.items(), *acknowledged]:
            expected = known.get(key) or next(line for other, line in acknowledged if other == key)
            assert found.get(key) == expected, f"{key} was {line!r} and is {found.get(key)!r}"

    def _rows(self, path: Path) -> list[Row]:
        return [(_key(line), line) for line in self._read(path)]

    def _read(self, path: Path) -> list[bytes]:
        """The whole lines, as they were before a seal marked them; what a crash tore is behind them."""
        content = path.read_bytes() if path.exists() else b""
        return [unmark(line) + b"\n" for line in content[: content.rfind(b"\n") + 1].splitlines()]

    def _seal_model(self, result: SealResult | None = None) -> None:
        first = dict(reversed(self.journal))
        whole = [task for task in range(_TASKS) if all((task, repeat) in first for repeat in range(_REPEATS))]
        duplicates = len(self.journal) - len(first)
        self.journal = [(key, first[key]) for key in sorted(first) if key[0] in whole]
        self.aside = [(key, first[key]) for key in sorted(first) if key[0] not in whole]
        if result is not None:
            begun = {key[0] for key, _ in self.aside}
            assert (result.rows, result.groups) == (len(self.journal), len(whole))
            assert (result.incomplete_rows, result.incomplete_groups) == (len(self.aside), len(begun))
            assert result.missing_groups == _TASKS - len(whole) - len(begun)
            assert result.duplicates == duplicates


def _is_torn(path: Path) -> bool:
    content = path.read_bytes() if path.exists() else b""
    return not content.endswith(b"\n") and content != b""


def _key(line: bytes) -> Key:
    fields = orjson.loads(line)
    return fields["_ng_task_index"], fields["_ng_rollout_index"]


JournalMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
TestJournal = JournalMachine.TestCase

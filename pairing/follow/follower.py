"""Follows one collection: reads what has come, pairs the groups that have closed, and at the end writes the output.

Why the output has an offline run's bytes. What becomes of a group depends on its rows and the settings alone, so a
group that closed while the run went on gives the rows it gives afterwards; they only have to be put in the order of
tasks, and given the columns of the whole file, by the same writer. The groups that never closed stand in the file of
incomplete groups, and are paired from there. Whether the closed groups are those of the sealed file is checked by
number and size; wherever there is a doubt the sealed file is paired as if nobody had followed.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from collector.journal import RunFile, StreamPaths
from pairing.build import all_fit, pair_writer, published, write_pairs
from pairing.follow.live_pairs import LivePairs, LiveRow
from pairing.follow.open_groups import HELD, IsWhole, OpenGroups
from pairing.follow.tail import Tail
from pairing.follow.tally import LiveTally
from pairing.outcomes import Policy, pair_group
from pairing.output.companions import Companions
from pairing.output.writer import EncodedRow
from pairing.reading.files import input_files
from pairing.reading.groups import Group, NotInOrder, closed_groups, groups_in_order
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings

__all__ = ["Follower", "Rule"]

Rule = Callable[[RunFile], IsWhole | None]
"""What makes a group whole with fewer rows than the most that it may have; None where all groups have as many."""
_BREATH = 16
"""Groups that are paired between two pauses."""


def _no_rule(run: RunFile) -> None:
    return None


class Follower:
    """Pairs the run that writes `source`. `pause` is called between some groups: a thread that shares its processor
    with the run lets it go on there; `held` is the most bytes of open groups in memory. Raises OutputError when the
    live file cannot be written."""

    def __init__(
        self,
        source: Path,
        output: Path,
        settings: PairSettings,
        *,
        rule: Rule = _no_rule,
        pause: Callable[[], None] = lambda: None,
        held: int = HELD,
    ) -> None:
        self.paths = StreamPaths.for_output(source)
        self._output, self._settings, self._rule, self._pause = output, settings, rule, pause
        self._most_held = held
        self._policy = settings.policy()
        self._closed_policy = self._policy
        self._pairs = LivePairs(output, settings)
        self._tail = Tail(source)
        self._groups: OpenGroups | None = None
        self._started = ""
        self._caught_up = False
        self.by_live = False
        """Whether the output was made of the live pairs, and not of the sealed file."""
        self._forget()

    @property
    def live(self) -> tuple[Path, ...]:
        """The live files."""
        return self._pairs.paths

    @property
    def rows(self) -> int:
        """Rollouts read."""
        return self._groups.rows if self._groups else 0

    @property
    def prompts(self) -> int:
        """Prompts whose group has closed."""
        return self._groups.closed if self._groups else 0

    @property
    def pairs(self) -> int:
        """Pairs in the live file."""
        return self._tally.pairs

    @property
    def held(self) -> int:
        """Bytes of rows that wait for others of their prompt."""
        return self._groups.held if self._groups else 0

    @property
    def begun(self) -> bool:
        """Whether anything was read."""
        return self._tail.opened

    def is_other(self, run: RunFile) -> bool:
        """Whether the rollouts file is another one than the one that was read, or no longer says what it said."""
        return self.begun and (run.started != self._started or self._tail.is_replaced() or self._tail.is_cut())

    def step(self, run: RunFile) -> str | None:
        """Reads what has come and appends its pairs; a note when live pairs of another run or other settings went."""
        if self._groups is None:
            self._started = run.started
            self._closed_policy = _policy_of_closed(self._settings, run)
            self._groups = OpenGroups(self._tail, int(run.settings["num_repeats"]), self._rule(run), self._most_held)
        for count, members in enumerate(self._groups.read()):
            for group in closed_groups([members]):
                self._pair(group)
            if count % _BREATH == _BREATH - 1:
                self._pause()
        if self._caught_up or not self._tail.opened:
            self._pairs.flush()
            return None
        self._caught_up = True
        strangers = self._pairs.strangers()
        if not strangers:
            self._pairs.flush()
            return None
        self._restart()
        self._pairs.replace()
        self._caught_up = True
        self.step(run)
        return (
            f"{self.live[0]}: {strangers} live pairs are of other settings or another run, or their rollouts are gone:"
            " the file begins anew"
        )

    def restart(self) -> None:
        """The rollouts are read from the first on: their file is another one. Live pairs that come again stay."""
        self._restart()
        self._pairs.begin_again()

    def finish(self, run: RunFile, *, overwrite: bool) -> PairReport:
        """Writes the output of the sealed file, whose run file is `run`; the live files go. Raises what `write_pairs`
        raises."""
        report = self._from_live(run, overwrite) if self._covers(run) else None
        self.by_live = report is not None
        if report is None:
            report = write_pairs([self.paths.rollouts], self._output, self._settings, overwrite)
        self._pairs.remove()
        return report

    def discard(self) -> None:
        """The live files go: the output is made without them."""
        self._pairs.remove()

    def close(self) -> None:
        self._tail.close()
        self._pairs.close()

    def _forget(self) -> None:
        self._tally = LiveTally()
        self._adapted: Counter[str] = Counter()

    def _restart(self) -> None:
        self._tail.close()
        self._groups = None
        self._caught_up = False
        self._forget()

    def _pair(self, group: Group) -> None:
        for live in self._rows_of(group, self._closed_policy):
            self._pairs.add(live)

    def _rows_of(self, group: Group, policy: Policy) -> Iterator[LiveRow]:
        """Pairs the group, counts what became of it, and encodes its rows."""
        outcome = pair_group(group, policy)
        self._tally.add(outcome)
        target = self._policy.target
        if target.unfit.error:
            all_fit(outcome, target.name)
        for kept in outcome.kept:
            self._adapted.update(target.adapted(kept.record))
            for row in target.rows(kept.record):
                columns = target.columns(row)
                yield LiveRow(group.task_index or 0, group.prompt_id, EncodedRow(target.encode(row, columns), columns))

    def _covers(self, run: RunFile) -> bool:
        """Whether the groups that closed are those of the sealed file."""
        groups = self._groups
        if groups is None or groups.odd or not self._caught_up:
            return False
        counts = run.counts
        return (
            run.state == "finished"
            and run.started == self._started
            and self.paths.rollouts.is_file()
            and groups.closed_bytes == self.paths.rollouts.stat().st_size
            and groups.closed_rows == counts.get("rollouts")
            and groups.rows - groups.closed_rows == counts.get("incomplete_rollouts")
            and not counts.get("duplicates")
        )

    def _from_live(self, run: RunFile, overwrite: bool) -> PairReport | None:
        """The output, put together of the live rows and of the groups that never closed; None when something stands
        otherwise than it should."""
        files = input_files([self.paths.rollouts], include_incomplete=self._settings.include_incomplete)
        companions = Companions(self._output, self._policy.target, self._settings.card)
        self._tally.read.lines = self._groups.closed_rows if self._groups else 0
        writer = pair_writer(self._output, self._policy.target, self._settings, overwrite=overwrite, inputs=files)
        with writer:
            try:
                for live in heapq.merge(self._live_rows(), self._rows_beside(files[:-1]), key=_task_of):
                    writer.write_encoded(live.row, live.prompt_id)
            except (NotInOrder, _Doubtful):
                return None
            report = self._tally.report(output=self._output, policy=self._policy, passes=1)
            if not report.written:
                return report
            report = published(report, writer, companions)
        return replace(report, adapted=dict(self._adapted))

    def _live_rows(self) -> Iterator[LiveRow]:
        for live in self._pairs.in_order():
            if live is None:
                raise _Doubtful
            yield live

    def _rows_beside(self, files: Sequence[Path]) -> Iterator[LiveRow]:
        """The rows of the groups that lack a member."""
        for group in groups_in_order(files, self._tally.read) if files else ():
            yield from self._rows_of(group, self._policy)


def _policy_of_closed(settings: PairSettings, run: RunFile) -> Policy:
    """The policy for groups that closed. Where the run stops each prompt by itself they have all that was asked for,
    which `--require-complete` would look up in a file that only comes at the end."""
    if run.settings.get("until_gap") is None:
        return settings.policy()
    return replace(settings, guards=replace(settings.guards, require_members=None)).policy()


class _Doubtful(Exception):  # noqa: N818 - no error: the sealed file is paired then
    """A live file does not say what was written to it."""


def _task_of(live: LiveRow) -> int:
    return live.task_index

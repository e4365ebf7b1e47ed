"""The pairs of a live run: appended to the live file of their split, and found again in the order of tasks."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from pairing.follow.live_file import LiveFile
from pairing.output.split import in_validation, live_path, split_paths
from pairing.output.writer import EncodedRow
from pairing.settings import PairSettings

__all__ = ["LivePairs", "LiveRow", "live_paths"]


class LiveRow(NamedTuple):
    """A row with what decides its place in the output."""

    task_index: int
    prompt_id: str
    row: EncodedRow


def live_paths(output: Path, settings: PairSettings) -> tuple[Path, ...]:
    """pairs.jsonl -> pairs.live.jsonl; with a validation split one for each side."""
    outputs = split_paths(output) if settings.validation else (output,)
    return tuple(map(live_path, outputs))


class LivePairs:
    """29 bytes of memory a row: its task, prompt, place, checksum and optional columns. Raises OutputError."""

    def __init__(self, output: Path, settings: PairSettings) -> None:
        self._settings = settings
        self._files: list[LiveFile] = []
        try:
            for path in live_paths(output, settings):
                self._files.append(LiveFile(path))
        except BaseException:
            self.close()
            raise
        self._kinds: list[frozenset[str]] = []
        self._forget()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self._files)

    def add(self, live: LiveRow) -> None:
        """A row of a task that closed; on its way to the file until `flush`."""
        line, columns = live.row
        if columns not in self._kinds:
            self._kinds.append(columns)
        self._offsets.append(self._file_of(live.prompt_id).put(line))
        self._tasks.append(live.task_index)
        self._prompts.append(int(live.prompt_id, 16))
        self._lengths.append(len(line))
        self._checks.append(crc32(line))
        self._columns.append(self._kinds.index(columns))

    def flush(self) -> None:
        for file in self._files:
            file.flush()

    def in_order(self) -> Iterator[LiveRow | None]:
        """The rows by task, those of one task as they were added; None where the file no longer says what it did."""
        for place in sorted(range(len(self._tasks)), key=self._tasks.__getitem__):
            prompt_id = f"{self._prompts[place]:016x}"
            line = self._file_of(prompt_id).read(self._offsets[place], self._lengths[place])
            if crc32(line) != self._checks[place]:
                yield None
            yield LiveRow(self._tasks[place], prompt_id, EncodedRow(line, self._kinds[self._columns[place]]))

    def begin_again(self) -> None:
        """The rows are made from the first on."""
        self._forget()
        for file in self._files:
            file.begin_again()

    def strangers(self) -> int:
        """Lines that stood in the files, and that were not made again."""
        return sum(file.strangers() for file in self._files)

    def replace(self) -> None:
        """New, empty files in place of these."""
        self._forget()
        for file in self._files:
            file.replace()

    def remove(self) -> None:
        for file in self._files:
            file.remove()

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _forget(self) -> None:
        self._tasks, self._offsets, self._prompts = array("q"), array("q"), array("Q")
        self._lengths, self._checks, self._columns = array("L"), array("L"), array("H")

    def _file_of(self, prompt_id: str) -> LiveFile:
        settings = self._settings
        held_out = bool(settings.validation) and in_validation(prompt_id, settings.validation, settings.seed)
        return self._files[held_out]

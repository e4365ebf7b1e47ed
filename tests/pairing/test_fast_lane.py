"""The fast lane gives what the general way gives, byte for byte, whatever stands in the file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing import PairReport, build_pairs
from pairing.build import pair_runs
from pairing.fast_lane import FastLane
from pairing.formats.recipe import Recipe
from pairing.formats.trl import Trl
from pairing.reading.files import ReadTally
from pairing.reading.groups import NotInOrder
from pairing.reading.heads import HeadsMislead, runs_by_heads
from pairing.reading.plain_rows import Trust, runs_in_order
from pairing.reading.spans import read_span, spans_of
from pairing.reports.funnel import Tally
from pairing.settings import PairSettings
from tests.pairing.make import ABSENT, Row, our_row

GYM_FILES = sorted((Path(__file__).parents[3] / "shared" / "nemo_gym_rollouts").glob("*.jsonl"))


class GeneralTrl(Trl):
    """The same records; a format of one's own, which the fast lane leaves alone."""


class GeneralRecipe(Recipe):
    """Likewise."""


FORMATS = ((Trl, GeneralTrl), (Recipe, GeneralRecipe))


def both(files: Sequence[Path], fast: type[Any], general: type[Any]) -> tuple[PairReport, bytes]:
    """What the fast lane makes of the files, after a look that the general way makes the same of them."""
    output = files[0].with_name("pairs.out")
    made = []
    for target in (fast(), general()):
        assert FastLane.takes(PairSettings(format=target).policy()) is (type(target) is fast)
        report = build_pairs(files, output, format=target, overwrite=True, include_incomplete=False)
        made.append((report, output.read_bytes() if report.written else b""))
    assert made[0][1] == made[1][1]
    assert made[0][0] == made[1][0]
    return made[0]


def with_field(name: str, value: Any) -> Callable[[Row], bytes]:
    """The line of a row with another value at `name` (dots lead inwards); ABSENT takes the field away."""

    def change(row: Row) -> bytes:
        *path, last = name.split(".")
        place = row
        for key in path:
            place = place[key]
        place.pop(last, None)
        if value is not ABSENT:
            place[last] = value
        return orjson.dumps(row)

    return change


def in_bytes(old: bytes, new: bytes) -> Callable[[Row], bytes]:
    """The line of a row with other bytes somewhere."""
    return lambda row: orjson.dumps(row).replace(old, new, 1)


def answering(text: str) -> Callable[[Row], bytes]:
    return with_field("output", [{"role": "assistant", "content": text}])


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
SYSTEM = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
ODDITIES: dict[str, Callable[[Row], bytes]] = {
    **{f"reward {value!r}": with_field("reward", value) for value in (ABSENT, None, True, "1", 1, -0.0, [1], 0.3, 0.7)},
    **{f"reward {raw!r}": in_bytes(b'"reward":', b'"reward":' + raw + b',"x":') for raw in (b"NaN", b"-0", b"1e999")},
    "reward twice": in_bytes(b'"reward":', b'"reward":0.5,"reward":'),
    **{f"finish {value!r}": with_field("finish_reason", value) for value in (ABSENT, None, "length", "incomplete", 3)},
    **{
        f"text {text!r}": answering(text)
        for text in ("", " \n\t", "\n\n x", "é", "\u2028", "\U0001f600", "\\u", '"', "same")
    },
    "text cut in half": in_bytes(b"answer", b"\\ud83d answer"),
    "text of escapes": in_bytes(b"answer", b"\\u00e9\\ud83d\\ude00\\/ answer"),
    **{
        f"output {value!r}": with_field("output", value)
        for value in (ABSENT, None, [], "text", 7, [{"role": "assistant", "content": None, "tool_calls": [CALL]}])
    },
    "two messages": with_field(
        "output", [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    ),
    "a further key": with_field("output", [{"role": "assistant", "content": "a", "reasoning_content": "r"}]),
    "role twice": in_bytes(b'"output":[{"role":"assistant",', b'"output":[{"role":"user","role":"assistant",'),
    "spaced": in_bytes(b'"output":[{', b'"output": [ {'),
    **{
        f"temperature {v!r}": with_field("responses_create_params.temperature", v)
        for v in (ABSENT, None, 1, 0.2, "hot")
    },
    "instructions": with_field("responses_create_params.instructions", "be brief"),
    "tools in the request": with_field("responses_create_params.tools", TOOLS),
    "tools of the row": with_field("tools", TOOLS),
    "no tools": with_field("responses_create_params.tools", []),
    **{f"input {v!r}": with_field("responses_create_params.input", v) for v in (ABSENT, None, [], "Why?", SYSTEM)},
    "prompt of escapes": in_bytes(b"Question", b"\\ud83d\\ude00 Question"),
    "prompt cut in half": in_bytes(b"Question", b"\\ud83d Question"),
    "no request": with_field("responses_create_params", ABSENT),
    "request of text": with_field("responses_create_params", "x"),
    **{f"prompt id {v!r}": with_field("prompt_id", v) for v in (ABSENT, None, "conversation", "0" * 16, 5)},
    **{f"task {v!r}": with_field("_ng_task_index", v) for v in (ABSENT, None, True, -1, 1.0, "1", 0, 99, 2**63)},
    **{f"rollout {v!r}": with_field("_ng_rollout_index", v) for v in (ABSENT, None, 0, 1, 7, -1)},
    **{f"status {v!r}": with_field("response.status", v) for v in (None, "completed", "incomplete", "failed", 1)},
    "error": with_field("response.error", {"code": 1}),
    "incomplete_details": with_field("response.incomplete_details", {"reason": "max_output_tokens"}),
    "no response": with_field("response", None),
    "response is a list": with_field("response", []),
    **{f"failure class {v!r}": with_field("_ng_failure_class", v) for v in (None, "", "judge_failed", 1)},
    "not UTF-8": in_bytes(b'"c-', b'"\xff'),
    "not UTF-8 and late": lambda row: with_field("_ng_task_index", 10**6)(row).replace(b'"c-', b'"\xff', 1),
    "not JSON and late": lambda row: with_field("_ng_task_index", 10**6)(row)[:-2],
    "no answer and late": lambda row: with_field("_ng_task_index", 10**6)(row | {"output": None}),
    "no prompt and late": lambda row: with_field("_ng_task_index", 10**6)(
        row | {"responses_create_params": {"input": ""}}
    ),
    "foreign id and late": lambda row: with_field("_ng_task_index", 10**6)(row | {"prompt_id": "x"}),
    "torn": lambda row: orjson.dumps(row)[:-20],
    "control character": in_bytes(b"answer", b"ans\x01wer"),
    "two in a line": lambda row: orjson.dumps(row) + orjson.dumps(row),
    "deep": lambda row: orjson.dumps(row)[:-1] + b',"deep":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "deep prompt": in_bytes(b'"input":', b'"input":' + b"[" * 900 + b"]" * 900 + b',"x":'),
    "long number": lambda row: orjson.dumps(row)[:-1] + b',"n":' + b"9" * 5000 + b"}",
    "blank": lambda row: b"",
    "spaces": lambda row: b"  \t",
    "return": lambda row: orjson.dumps(row) + b"\r",
    "spaces around": lambda row: b"  " + orjson.dumps(row) + b"  ",
    "byte order mark": lambda row: b"\xef\xbb\xbf" + orjson.dumps(row),
    "a list": lambda row: b"[1]",
    "a number": lambda row: b"12",
    "a line's half": lambda row: orjson.dumps(row).replace(b",", b",\n", 1),
}

REWARDS = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-2, 2)
ODD = st.none() | st.none() | st.none() | st.sampled_from(sorted(ODDITIES))
GROUPS = st.lists(st.lists(st.tuples(REWARDS, ODD), min_size=1, max_size=4), min_size=1, max_size=6)


def written(path: Path, rows: Sequence[Row]) -> Path:
    """A file of the rows as the collector writes them."""
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def made(groups: Sequence[Sequence[tuple[float, str | None]]]) -> list[bytes]:
    """The lines of these groups, in order."""
    lines = []
    for task, group in enumerate(groups):
        for index, (reward, odd) in enumerate(group):
            row = our_row(task, index, reward, f"answer {index} to {task} {'é' if task % 3 == 0 else ''}")
            lines.append(orjson.dumps(row) if odd is None else ODDITIES[odd](row))
    return lines


@settings(max_examples=150, deadline=None)
@given(
    groups=GROUPS,
    formats=st.sampled_from(FORMATS),
    ended=st.booleans(),
    parts=st.integers(1, 3),
    order=st.none() | st.randoms(use_true_random=False),
)
def test_any_rows(groups: Any, formats: Any, ended: bool, parts: int, order: Any) -> None:
    """Odd rows among plain ones, in one file or several, in task order or none: same bytes, same report."""
    lines = made(groups)
    if order is not None:
        order.shuffle(lines)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for part in range(parts):
            text = b"\n".join(lines[part::parts]) + (b"\n" if ended else b"")
            files.append(Path(folder) / f"{part}.jsonl")
            files[-1].write_bytes(text)
        both(files, *formats)


class Twice(Trl):
    """Splices as its parent does, and makes two rows of each record, in letters of its own."""

    name = "twice"

    def splice(self, prompt: bytes, chosen: bytes, rejected: bytes, meta: Mapping[str, Any]) -> bytes | None:
        return super().splice(prompt, chosen, rejected, meta)

    def rows(self, record: Any) -> Sequence[Any]:
        return (record, record)

    def encode(self, record: Any, columns: frozenset[str]) -> bytes:
        return super().encode(record, columns).upper()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_subclass_makes_of_spliced_records_counts(tmp_path: Path, workers: int) -> None:
    """Only a class that says itself that its splices are lines has them written as they are."""
    source, once, twice = (tmp_path / name for name in ("in.jsonl", "once.jsonl", "twice.jsonl"))
    long = "long " * 30_000  # parts of several megabytes, for two workers
    rows = [our_row(task, index, float(index), f"{long}{task} {index}") for task in range(40) for index in range(2)]
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    build_pairs(source, once, workers=workers)
    build_pairs(source, twice, format=Twice(), workers=workers)
    lines = once.read_bytes().splitlines(keepends=True)
    assert len(lines) == 40
    assert twice.read_bytes() == b"".join(line.upper() for line in lines for _ in range(2))


@pytest.mark.parametrize("odd", sorted(ODDITIES))
@pytest.mark.parametrize("place", [0, 5, 11])
@pytest.mark.parametrize("step", [1, -1])
def test_each_oddity(tmp_path: Path, odd: str, place: int, step: int) -> None:
    """At the beginning, the middle and the end of a group, and of the file; in task order, and against it."""
    groups: list[list[tuple[float, str | None]]] = [[(reward / 3, None) for reward in range(4)] for _ in range(3)]
    groups[place // 4][place % 4] = (0.5, odd)
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\n".join(made(groups)[::step]) + b"\n")
    report, _ = both([path], Trl, GeneralTrl)
    assert report.groups >= 2


@settings(max_examples=25, deadline=None)
@given(groups=GROUPS, formats=st.sampled_from(FORMATS), span=st.integers(300, 4000))
def test_parts_of_a_file(groups: Any, formats: Any, span: int) -> None:
    """What a worker reads of a file gives what the general way gives for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        path.write_bytes(b"\n".join(made(groups)) + b"\n")
        for start, stop in spans_of(path, span, 2):
            found: list[object] = []
            for target in formats:
                tally, sink = Tally(), Records()
                policy = PairSettings(format=target()).policy()
                trust = Trust(lost=not FastLane.takes(policy))
                try:
                    pair_runs(read_span(path, start, stop, tally.read, trust), trust, policy, tally, sink)
                except NotInOrder:
                    found.append("not in order")
                    continue
                found.append((tally.report(output=path, policy=policy, passes=1), sink))
            assert found[0] == found[1]


class Records(list[tuple[Any, str]]):
    """A sink that keeps what it is given."""

    def write(self, record: Any, prompt_id: str) -> None:
        self.append((record, prompt_id))


@pytest.mark.parametrize("path", GYM_FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("formats", FORMATS, ids=["trl", "recipe"])
def test_nemo_gym_files(tmp_path: Path, path: Path, formats: Any) -> None:
    """Files of another writer."""
    copy = tmp_path / "r.jsonl"
    copy.write_bytes(path.read_bytes())
    both([copy], *formats)


def test_heads_do_find_it(tmp_path: Path) -> None:
    """Plain rows in no order are paired from the places of their heads alone; a broken line ends that."""
    lines = [orjson.dumps(our_row(task, n, n / 3)) for task in range(20) for n in range(4)][::-1]
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    policy, tally, sink = PairSettings().policy(), Tally(), Records()
    pair_runs(runs_by_heads([path], tally.read, 2**20), Trust(), policy, tally, sink)
    assert (tally.read.lines, tally.read.numbered, tally.pairs) == (80, 80, 20)
    path.write_bytes(b"\n".join([*lines, lines[0].replace(b'"output":', b'"output"')]) + b"\n")
    with pytest.raises(HeadsMislead):
        [run.members() for run in runs_by_heads([path], ReadTally(), 2**20)]


def test_plain_rows_do_take_it(tmp_path: Path) -> None:
    """Of a file of plain rows only the group whose texts the report shows goes the general way; answers that were cut
    short are not chosen."""
    rows = [
        our_row(task, n, n / 3, finish_reason="length" if n == 3 else "stop") for task in range(20) for n in range(4)
    ]
    path = written(tmp_path / "r.jsonl", rows)
    policy, tally, sink = PairSettings().policy(), Tally(), Records()
    trust = Trust()
    lane, left = FastLane(policy, tally, sink), 0
    for run in runs_in_order([path], tally.read, trust):
        if not lane.pairs(run):
            left += 1
            pair_runs([run], Trust(lost=True), policy, tally, sink)
    assert (left, tally.pairs, len(sink)) == (1, 20, 20)
    assert {
        orjson.loads(record)["meta"]["chosen_rollout_index"] for record, _ in sink if isinstance(record, bytes)
    } == {2}


def test_trust_ends(tmp_path: Path) -> None:
    """After many runs that were not plain no more are looked for, and the result is the same."""
    rows = [our_row(task, n, n / 3, output=None if n else "text") for task in range(200) for n in range(3)]
    path = written(tmp_path / "r.jsonl", rows)
    trust, policy, tally = Trust(), PairSettings().policy(), Tally()
    pair_runs(runs_in_order([path], tally.read, trust), trust, policy, tally, Records())
    assert trust.lost
    assert both([path], Trl, GeneralTrl)[0].groups == 200

"""A strategy of the user's own: what it is given, what it may give, and how its faults are told."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from collector.errors import UsageError
from pairing import PairSettings
from pairing.build import write_pairs
from pairing.guards import Guards
from pairing.strategies import make_strategy
from pairing.strategies.function import FromFunction
from tests.pairing.make import our_row, read_rows, write_rows
from tests.pairing.pools import group_of, picks, pool_of

CODE = """
SEEN = []

def by_index(prompt):
    return [(1, 0)]

def by_view(prompt):
    best = max(prompt.chosen, key=lambda rollout: rollout.reward)
    return ((best, other) for other in prompt.rejected if other.reward < best.reward)

def nothing(prompt):
    return None

def tells(prompt):
    first = prompt.rollouts[0]
    SEEN.append((prompt.prompt_id, prompt.text, len(prompt), [r.index for r in prompt], first.reward, first.text,
                 first.length, first.messages[0]["role"], first.finish_reason, first.truncated, first.row["level"],
                 prompt.messages[0]["role"], repr(first)))
    return []

def wrong(prompt):
    return [(0, 1), (1, 1)]

def barred(prompt):
    return [(0, 1)]

def one(prompt):
    return [7]

def stranger(prompt):
    return [(1, 99)]

def raises(prompt):
    return prompt.rollouts[0].row["no\\x1b[31m such field"]

def leaves(prompt):
    raise SystemExit

class Unspeakable(Exception):
    def __str__(self):
        raise self

def unspeakable(prompt):
    raise Unspeakable

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_pairs_are_named_by_index_or_by_what_was_given(mine: Path) -> None:
    """Rollout indices and the rollouts of the view mean the same; any iterable will do, and None is no pair."""
    pool = pool_of([0.0, 1.0, 0.5])
    assert picks(make_strategy(f"{mine}:by_index"), pool) == [(1, 0)]
    assert picks(make_strategy(f"{mine}:by_view"), pool) == [(1, 0), (1, 2)]
    assert picks(make_strategy(f"{mine}:nothing"), pool) == "no_pick"


def test_a_module_on_the_path_will_do(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """module:function looks where Python looks, and in the current folder."""
    mine.rename(mine.with_name("mine_as_module.py"))
    monkeypatch.chdir(mine.parent)
    monkeypatch.syspath_prepend(str(mine.parent))
    assert picks(make_strategy("mine_as_module:by_index"), pool_of([0.0, 1.0])) == [(1, 0)]


def test_the_view_tells_what_the_docs_promise(mine: Path) -> None:
    """Prompt, rewards, texts, lengths, how it ended, and any field of the row."""
    rows = [our_row(0, n, float(n), level="hard", finish_reason="length" if n == 0 else "stop") for n in (0, 1)]
    group = group_of(rows)
    pool = Guards().checks().pool(group.rollouts, group.prompt_id)
    assert not isinstance(pool, str)
    strategy = FromFunction(f"{mine}:tells")
    assert strategy.pick(pool) == "no_pick"
    (seen,) = strategy.function.__globals__["SEEN"]
    text = "answer 0 to 0"
    assert seen == (
        *(rows[0]["prompt_id"], "Question 0?", 2, [0, 1], 0.0, text, len(text), "assistant", "length", True, "hard"),
        *("user", "RolloutView(index=0, reward=0)"),
    )


def test_what_it_picks_passes_the_same_guards(tmp_path: Path, mine: Path) -> None:
    """A tie, a rollout against itself and a truncated choice are refused and counted, as any other pick."""
    rows = [our_row(0, 0, 0.5), our_row(0, 1, 1.0), our_row(1, 0, 1.0, finish_reason="length"), our_row(1, 1, 0.0)]
    source = write_rows(tmp_path / "r.jsonl", *rows)
    report = write_pairs([source], tmp_path / "p.jsonl", PairSettings(strategy=f"{mine}:wrong"), False)
    assert dict(report.pair_drops) == {"not_better": 3, "wrong_side": 1}
    assert (report.pairs, report.picked) == (0, 4)
    report = write_pairs([source], tmp_path / "p.jsonl", PairSettings(strategy=f"{mine}:by_index"), True)
    assert dict(report.pair_drops) == {"not_better": 1}
    assert read_rows(tmp_path / "p.jsonl")[0]["meta"]["strategy"] == f"{mine}:by_index"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("raises", "KeyError: 'no"),
        ("leaves", "SystemExit"),
        ("unspeakable", "Unspeakable: (an error without a text)"),
        ("one", "7 is no (chosen, rejected)"),
        ("stranger", "99 is no rollout of it; usable are 0, 1"),
    ],
)
def test_a_fault_of_the_function_is_one_line_with_the_prompt(mine: Path, name: str, wanted: str) -> None:
    """The run ends: a strategy that is wrong for one prompt is not to be trusted with the next."""
    pool = pool_of([0.0, 1.0])
    with pytest.raises(UsageError, match=f"prompt {pool.prompt_id}: ") as raised:
        make_strategy(f"{mine}:{name}").pick(pool)
    assert wanted in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("{}:gone", "has no function 'gone'"),
        ("{}:number", "is no function: 'number'"),
        ("{}gone.py:f", "cannot import"),
        ("no_such_module:f", "cannot import no_such_module: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_loaded_is_told_before_anything_is_read(mine: Path, spec: str, wanted: str) -> None:
    """PairSettings loads it, so that `run` knows before it collects."""
    with pytest.raises(UsageError, match="--strategy") as raised:
        PairSettings(strategy=spec.format(mine))
    assert wanted in str(raised.value)


def test_it_goes_to_another_process(mine: Path) -> None:
    """A copy picks the same: it is loaded again where it arrives."""
    copy = pickle.loads(pickle.dumps(make_strategy(f"{mine}:by_index")))
    assert picks(copy, pool_of([0.0, 1.0])) == [(1, 0)]

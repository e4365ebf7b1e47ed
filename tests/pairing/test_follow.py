"""Following a run, one case at a time: when it starts, how a run ends, what cannot be followed."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from collector.errors import InputError, OutputError, PairmillError, UsageError
from collector.journal.lock import hold_lock
from pairing import Guards, PairSettings, build_pairs
from pairing.build import write_pairs
from pairing.follow import Follower, follow
from pairing.follow.alongside import Alongside
from pairing.following import follow_run, whole_by
from tests.pairing.live_run import LiveRun, Script
from tests.pairing.make import Row, our_row, write_lines, write_rows

TRL = PairSettings()


def follow_to(folder: Path, *deeds: object, how: PairSettings = TRL, overwrite: bool = False) -> list[str]:
    """Follows the run in `folder` while `deeds` happen; what was said."""
    said: list[str] = []
    clock = Script(deeds)  # type: ignore[arg-type]
    source, output = folder / "rollouts.jsonl", folder / "pairs.jsonl"
    follow(source, output, how, rule=whole_by, say=said.append, clock=clock, overwrite=overwrite)
    return said


def offline(folder: Path, how: PairSettings = TRL) -> bytes:
    report = write_pairs([folder / "rollouts.jsonl"], folder / "offline.jsonl", how, True)
    return report.outputs[0].read_bytes()


def two(task: int) -> list[Row]:
    return [our_row(task, 0, 1.0), our_row(task, 1, 0.0)]


def test_it_may_start_before_the_run(tmp_path: Path) -> None:
    """No file is there yet: it waits, says so once, and goes along from the first row."""
    run = LiveRun(tmp_path)
    said = follow_to(
        tmp_path,
        *[lambda: None] * 60,
        run.begin,
        lambda: run.write(*two(1)),
        lambda: run.write(*two(0)),
        run.finish,
    )
    assert said[0] == f"waiting for {run.paths.run}"
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)
    assert not (tmp_path / "pairs.live.jsonl").exists()


def test_it_may_start_after_the_end(tmp_path: Path) -> None:
    """A sealed file is paired at once; a live file of a follower that was killed before goes."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*two(0))
    run.finish()
    write_lines(tmp_path / "pairs.live.jsonl", ["{}"])
    assert follow_to(tmp_path) == []
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)
    assert not (tmp_path / "pairs.live.jsonl").exists()


@pytest.mark.parametrize("state", ["interrupted", "stopped"])
def test_a_run_that_ends_before_its_end_is_said(tmp_path: Path, state: str) -> None:
    """One line names the state, the live pairs stay, and after the run's --resume the same command goes on."""
    run = LiveRun(tmp_path)
    run.begin()
    with hold_lock(run.paths.lock), pytest.raises(PairmillError, match=f"was {state} before its end; 1 pairs of 1"):
        follow_to(tmp_path, lambda: run.write(*two(0)), lambda: run.state(state))  # type: ignore[arg-type]
    live = (tmp_path / "pairs.live.jsonl").read_bytes()
    assert live.count(b"\n") == 1
    follow_to(tmp_path, lambda: run.state("running"), lambda: run.write(*two(1)), run.finish)
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)
    assert (tmp_path / "pairs.jsonl").read_bytes().startswith(live)


def test_a_run_that_was_killed_is_noticed(tmp_path: Path) -> None:
    """Its run file says that it lives, but nobody holds its lock: the following ends after a while."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*two(0))
    run.paths.lock.write_text("99999\n")
    with pytest.raises(PairmillError, match="was killed, or has died before its end; 1 pairs of 1 whole prompts stand"):
        follow_to(tmp_path)


def test_a_run_that_is_slow_is_waited_for(tmp_path: Path) -> None:
    """While its lock is held nothing ends, however long no row comes."""
    run = LiveRun(tmp_path)
    run.begin()
    with hold_lock(run.paths.lock):
        follow_to(tmp_path, *[lambda: None] * 300, lambda: run.write(*two(0)), run.finish)
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)


def test_an_overwrite_begins_anew(tmp_path: Path) -> None:
    """Another run in the same place: its pairs alone are in the end, and it is said."""
    first, second = LiveRun(tmp_path), LiveRun(tmp_path)
    first.begin()

    def overwrite() -> None:
        first.paths.rollouts.unlink()
        second.begin()

    said = follow_to(
        tmp_path,
        lambda: first.write(*two(0)),
        overwrite,
        lambda: second.write(our_row(0, 0, 1.0, "new"), our_row(0, 1, 0.0, "other")),
        second.finish,
    )
    assert any("is another file now" in line for line in said)
    assert any("live pairs are of other settings or another run" in line for line in said)
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)
    assert b"new" in (tmp_path / "pairs.jsonl").read_bytes()


def test_a_resume_of_a_sealed_run_is_followed(tmp_path: Path) -> None:
    """A sealed file with a group that lacks a member, taken back: rows stand in another order then, and no live pair
    is written twice or changes."""
    run = LiveRun(tmp_path)
    run.begin()
    late = two(0)
    run.write(*two(2), late[1], *two(1))
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL)
    follower.step(run.file)
    follower.close()
    before = (tmp_path / "pairs.live.jsonl").read_bytes()
    assert before.count(b"\n") == 2
    run.finish()
    run.paths.rollouts.write_bytes(run.paths.rollouts.read_bytes() + run.paths.incomplete.read_bytes())
    run.paths.incomplete.unlink()
    run.state("running")
    grown: list[bytes] = []
    follow_to(
        tmp_path,
        lambda: grown.append((tmp_path / "pairs.live.jsonl").read_bytes()),
        lambda: run.write(late[0]),
        lambda: grown.append((tmp_path / "pairs.live.jsonl").read_bytes()),
        run.finish,
    )
    assert grown[0] == before
    assert grown[1].startswith(before)
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)


def test_other_settings_begin_a_new_live_file(tmp_path: Path) -> None:
    """Pairs that this run and these settings do not give are not left among those that they give."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*two(0), our_row(1, 0, 0.2), our_row(1, 1, 0.0))
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL)
    follower.step(run.file)
    follower.close()
    assert (tmp_path / "pairs.live.jsonl").read_bytes().count(b"\n") == 2
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", PairSettings(min_gap=0.5))
    note = follower.step(run.file)
    assert note is not None
    assert "1 live pairs are of other settings" in note
    assert (tmp_path / "pairs.live.jsonl").read_bytes().count(b"\n") == 1
    follower.close()


@pytest.mark.parametrize("line", ["{torn", "", '{"output": []}', "[1]"])
def test_what_no_run_writes_is_left_to_the_end(tmp_path: Path, line: str) -> None:
    """A broken or a foreign line: the live file goes on, and the output is made of the sealed file."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*two(0))
    run.write_text(line + "\n")
    run.write(*two(1))
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL)
    follower.step(run.file)
    assert follower.pairs == 2
    lines = [kept for kept in run.paths.rollouts.read_text().split("\n") if kept.startswith('{"_ng')]
    write_lines(run.paths.rollouts, lines)
    run.finish()
    follower.step(run.file)
    follower.finish(run.file, overwrite=False)
    assert not follower.by_live
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)
    follower.close()


def test_a_row_that_comes_twice_is_left_to_the_end(tmp_path: Path) -> None:
    """A journal holds no rollout twice; where one does, the sealed file tells which stands."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*two(0), *two(0), *two(1))
    follow_to(tmp_path, lambda: None, run.finish)
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)


def test_a_live_file_that_somebody_changed_is_not_believed(tmp_path: Path) -> None:
    """The output is made of the sealed file then."""
    run = LiveRun(tmp_path)
    run.begin()

    def spoil() -> None:
        live = tmp_path / "pairs.live.jsonl"
        live.write_bytes(live.read_bytes().replace(b"answer", b"ANSWER"))

    follow_to(tmp_path, lambda: run.write(*two(0)), lambda: run.write(*two(1)), spoil, run.finish)
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)


def test_rows_of_many_open_prompts_are_read_again(tmp_path: Path) -> None:
    """What open prompts hold in memory has a limit; beyond it rows are read a second time, with the same pairs."""
    run = LiveRun(tmp_path)
    run.begin()
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL, held=2000)
    run.write(*(our_row(task, 0, 1.0, "word " * 50) for task in range(40)))
    follower.step(run.file)
    assert follower.held <= 2000
    run.write(*(our_row(task, 1, 0.0) for task in range(40)))
    follower.step(run.file)
    assert follower.pairs == 40
    run.finish()
    follower.finish(run.file, overwrite=False)
    assert follower.by_live
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)
    follower.close()


@pytest.mark.parametrize("require", [None, 4])
def test_prompts_stop_by_the_runs_own_rule(tmp_path: Path, require: int | None) -> None:
    """With --until-gap a prompt is whole once it has a usable pair, its last sample or no hope; --require-complete asks
    for no more than the run did."""
    how = PairSettings(guards=Guards(require_members=require))
    run = LiveRun(tmp_path, 4, until_gap=0.5, futile_after=3)
    sizes = [2, 4, 3]
    rewards = [[1.0, 0.0], [0.5, 0.5, 0.4, 0.9], [0.0, 0.0, 0.0]]
    run.begin()
    rows = [our_row(task, n, reward) for task, found in enumerate(rewards) for n, reward in enumerate(found)]
    run.write(*reversed(rows))
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", how, rule=whole_by)
    follower.step(run.file)
    assert follower.prompts == 3
    decisions = [{"_ng_task_index": task, "rollouts": size} for task, size in enumerate(sizes)]
    write_rows(tmp_path / "rollouts_decisions.jsonl", *decisions)
    run.finish(repeats_of=sizes.__getitem__)
    follower.step(run.file)
    follower.finish(run.file, overwrite=False)
    assert follower.by_live
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path, how)
    follower.close()
    assert follower.pairs == 2


def test_each_agent_has_its_own_number_of_repeats(tmp_path: Path) -> None:
    """Where numbers go by agent the row says which is its own, else the run's agent, else the default."""
    run = LiveRun(tmp_path, 3, repeats_by_agent={"a": 2, "_default": 3}, agent_name=None)
    run.begin()
    run.write(*(our_row(0, n, float(n), agent_ref={"name": "a"}) for n in range(2)))
    run.write(*(our_row(1, n, float(n), agent_ref={"name": "b"}) for n in range(2)))
    follower = Follower(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL, rule=whole_by)
    follower.step(run.file)
    assert follower.prompts == 1
    run.write(our_row(1, 2, 0.5, agent_ref={"name": "b"}))
    follower.step(run.file)
    assert follower.prompts == 2
    follower.close()


def test_one_follower_at_a_time(tmp_path: Path) -> None:
    """Two would write their pairs among each other's."""
    follower = Follower(tmp_path / "rollouts.jsonl", tmp_path / "pairs.jsonl", TRL)
    with pytest.raises(OutputError, match=r"pairs\.live\.jsonl: another process writes its pairs there"):
        Follower(tmp_path / "rollouts.jsonl", tmp_path / "pairs.jsonl", TRL)
    follower.close()


def test_a_long_catching_up_is_written_as_it_goes(tmp_path: Path) -> None:
    """What waits for the live file is bounded: 3 MB of pairs of one reading are on their way before it ends."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*(our_row(task, n, float(n), f"{n} " * 5000) for task in range(160) for n in (0, 1)))
    sizes: list[int] = []
    live = tmp_path / "pairs.live.jsonl"
    follower = Follower(
        run.paths.rollouts, tmp_path / "pairs.jsonl", TRL, pause=lambda: sizes.append(live.stat().st_size)
    )
    follower.step(run.file)
    assert live.stat().st_size > 3_000_000
    assert live.stat().st_size - sizes[-1] < 2_000_000
    follower.close()


def test_a_run_that_is_left_ends_a_long_catching_up(tmp_path: Path) -> None:
    """A second Ctrl-C need not wait until a night's rollouts were read; without a first rollout nothing is begun."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*(row for task in range(400) for row in two(task)))
    with Alongside(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL, whole_by, poll=0.0) as alongside:
        assert alongside.finish(overwrite=False) is None
    with Alongside(run.paths.rollouts, tmp_path / "pairs.jsonl", TRL, whole_by, poll=0.0) as alongside:
        alongside.begin()
    assert alongside.failure is None or type(alongside.failure).__name__ == "_Left"
    assert not (tmp_path / "pairs.jsonl").exists()


def test_what_cannot_be_followed_is_one_line(tmp_path: Path) -> None:
    """A compressed file, a file without a run, an output that stands: said before the night, not after it."""
    with pytest.raises(UsageError, match="a compressed file does not grow"):
        follow(tmp_path / "r.jsonl.gz", tmp_path / "p.jsonl", TRL, rule=whole_by, say=print)
    write_lines(tmp_path / "rollouts.jsonl", ["{}"])
    with pytest.raises(InputError, match=r"no rollouts\.run\.json beside it, so nobody tells when it is whole"):
        follow_to(tmp_path)
    write_lines(tmp_path / "pairs.jsonl", ["{}"])
    with pytest.raises(OutputError, match="exists already: give --overwrite"):
        follow_to(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "pairs.live.jsonl", "rollouts.jsonl"]


def test_a_pattern_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    """No run will ever write a file of that name."""
    given = Namespace(input=[tmp_path / "roll*.jsonl"], output=tmp_path / "pairs.jsonl", overwrite=False)
    with pytest.raises(UsageError, match=r"roll\*\.jsonl is a pattern: name the one rollouts file"):
        follow_run(given, TRL)


def test_an_output_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    """With --overwrite the old pairs stand until the new ones are whole."""
    run = LiveRun(tmp_path)
    run.begin()
    run.write(*two(0))
    write_lines(tmp_path / "pairs.jsonl", ["old"])
    seen: list[str] = []
    follow_to(tmp_path, lambda: seen.append((tmp_path / "pairs.jsonl").read_text()), run.finish, overwrite=True)
    assert seen == ["old\n"]
    assert (tmp_path / "pairs.jsonl").read_bytes() == offline(tmp_path)


def test_an_empty_run_writes_nothing(tmp_path: Path) -> None:
    """As offline: without a rollout no output is made, and no live file is left."""
    run = LiveRun(tmp_path)
    run.begin()
    follow_to(tmp_path, lambda: None, run.finish)
    assert not (tmp_path / "pairs.jsonl").exists()
    assert not (tmp_path / "pairs.live.jsonl").exists()
    assert not build_pairs(run.paths.rollouts, tmp_path / "p").written

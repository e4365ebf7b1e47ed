"""Disks that fail under a real run: one line, exit code 1, readable files, and --resume gives the same whole."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.journal import read_run_file
from tests.faults.commands import ROOT, Commands
from tests.faults.runs import assert_whole, collect_words, rows_in, write_prompts
from tests.model_server import ModelServer

_NOBODY = 65534
_NO_MOUNT = 99
"""What a script ends with when it may not mount."""


@pytest.fixture(scope="module")
def serving() -> Iterator[ModelServer]:
    server = ModelServer()
    with server.serving():
        yield server


@pytest.fixture
def server(serving: ModelServer) -> ModelServer:
    serving.latency = (0.0, 0.0)
    return serving


def test_each_call_that_fails_is_one_line_and_costs_nothing(
    tmp_path: Path, pairmill: Commands, server: ModelServer
) -> None:
    """The first open, write, sync, rename ... fails, then the second, and so on until a run has no more of them."""
    source = write_prompts(tmp_path / "in.jsonl", 3)
    kinds = set()
    for nth in range(1, 200):
        output = tmp_path / str(nth) / "rollouts.jsonl"
        words = collect_words(source, output, server.url)
        run = pairmill.start(*words, fault=("any", nth, errno.ENOSPC))
        done = run.wait()
        if not run.failed.exists():
            assert_whole(output, 3, done=done)
            break
        kinds.add(run.failed.read_text().strip())
        message = done.one_line()
        assert os.strerror(errno.ENOSPC) in message
        assert f"{output.parent}" in message
        assert "--resume" in message or "--output" in message
        on_disk = rows_in(output) if output.exists() else []
        assert {row["response"]["id"] for row in on_disk} >= set(run.acknowledged().values())
        assert_whole(output, 3, done=pairmill.run(*words, "--resume"))
    else:
        pytest.fail("the run never came to its end")
    assert kinds >= {"open", "write", "sync", "replace", "sync_folder"}


def test_a_file_size_limit_is_one_line(tmp_path: Path, pairmill: Commands, server: ModelServer) -> None:
    """RLIMIT_FSIZE: a write past it gives SIGXFSZ and EFBIG. The acknowledged rows are there; --resume goes on."""
    output = tmp_path / "out" / "rollouts.jsonl"
    server.latency = (0.005, 0.01)  # rows come in many commits, not in one
    words = collect_words(write_prompts(tmp_path / "in.jsonl", 60), output, server.url)
    run = pairmill.start(*words, file_size=40_000)
    message = run.wait().one_line()
    assert f"{output}: File too large; stopped, and every row acknowledged before is safe" in message
    assert run.acknowledged()
    assert {row["response"]["id"] for row in rows_in(output)} >= set(run.acknowledged().values())
    assert_whole(output, 60, done=pairmill.run(*words, "--resume"))


def mounted(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell script that may mount, where this user can have that. In a namespace of its own, so that nothing
    stays mounted however it ends."""
    tried = [["unshare", "--map-root-user", "--mount"], ["unshare", "--mount"]]
    for namespace in tried if shutil.which("unshare") else []:
        result = subprocess.run([*namespace, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
        if result.returncode != _NO_MOUNT and "unshare:" not in result.stderr:
            return result
    pytest.skip("no way to mount a disk here (neither as root nor in a user namespace)")


_FULL_DISK = """
mount -t tmpfs -o size=1m tmpfs {disk} || exit {no_mount}
{command} > {log}/1.out 2> {log}/1.err; echo $? > {log}/1.code
cp {disk}/rollouts.jsonl {log}/1.jsonl
{command} --resume > {log}/2.out 2> {log}/2.err; echo $? > {log}/2.code
cp {disk}/rollouts.jsonl {log}/2.jsonl
mount -o remount,size=64m {disk}
{command} --resume > {log}/3.out 2> {log}/3.err; echo $? > {log}/3.code
mkdir {log}/whole
cp {disk}/* {log}/whole
"""


def test_a_disk_that_fills_up(tmp_path: Path, server: ModelServer) -> None:
    """A tmpfs of 1 MiB: the run stops with one line while it collects or seals; a second try says the same; with room
    made, --resume gives the whole."""
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    log.mkdir()
    words = collect_words(write_prompts(tmp_path / "in.jsonl", 1000), disk / "rollouts.jsonl", server.url)
    command = shlex.join([sys.executable, "-m", "pairing.cli", *map(str, words)])
    result = mounted(_FULL_DISK.format(disk=disk, log=log, command=command, no_mount=_NO_MOUNT))
    assert result.returncode == 0, result.stderr
    kept = 0
    for number in "12":
        assert (log / f"{number}.code").read_text() == "1\n"
        last = (log / f"{number}.err").read_text().splitlines()[-1]
        assert last.startswith("pairmill: error: ")
        assert "No space left on device" in last
        assert "--resume" in last
        assert "Traceback" not in (log / f"{number}.err").read_text()
        assert len(rows_in(log / f"{number}.jsonl")) >= kept
        kept = len(rows_in(log / f"{number}.jsonl"))
    assert kept > 500
    assert (log / "3.code").read_text() == "0\n", (log / "3.err").read_text()
    rows = assert_whole(log / "whole" / "rollouts.jsonl", 1000)
    before = {row["response"]["id"] for row in rows_in(log / "2.jsonl")}
    assert before <= {row["response"]["id"] for row in rows}


_READ_ONLY_DISK = """
mount -t tmpfs tmpfs {disk} || exit {no_mount}
{command} --output {disk}/old/rollouts.jsonl > {log}/0.err 2>&1 || exit 1
cp -r {disk}/old {log}/before
mount -o remount,ro {disk} || exit {no_mount}
{command} --output {disk}/rollouts.jsonl > {log}/1.out 2> {log}/1.err; echo $? > {log}/1.code
{command} --output {disk}/new/rollouts.jsonl > {log}/2.out 2> {log}/2.err; echo $? > {log}/2.code
{command} --output {disk}/old/rollouts.jsonl --overwrite > {log}/3.out 2> {log}/3.err; echo $? > {log}/3.code
{command} --output {disk}/old/rollouts.jsonl --resume > {log}/4.out 2> {log}/4.err; echo $? > {log}/4.code
cp -r {disk}/old {log}/after
"""


def test_a_disk_that_is_mounted_read_only(tmp_path: Path, server: ModelServer) -> None:
    """A new output, one in a new folder, --overwrite and --resume: one line each that names the folder or file and what
    to do; the server is asked for nothing more, and what was there stays as it was."""
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    log.mkdir()
    words = collect_words(write_prompts(tmp_path / "in.jsonl", 3), tmp_path, server.url)
    at = words.index("--output")
    command = shlex.join([sys.executable, "-m", "pairing.cli", *map(str, [*words[:at], *words[at + 2 :]])])
    asked = server.requests
    result = mounted(_READ_ONLY_DISK.format(disk=disk, log=log, command=command, no_mount=_NO_MOUNT))
    assert result.returncode == 0, result.stderr + (log / "0.err").read_text()
    for number, place in ((1, disk), (2, disk / "new"), (3, disk / "old"), (4, disk / "old")):
        assert (log / f"{number}.code").read_text() == "1\n"
        said = (log / f"{number}.err").read_text().splitlines()
        assert said[-1].startswith(f"pairmill: error: {place}")
        assert said[-1].endswith("Read-only file system; give an --output in a folder that can be written")
        assert len(said) == 1
    assert server.requests == asked + 6
    assert contents(log / "after") == contents(log / "before")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("place", ["closed/rollouts.jsonl", "closed/new/rollouts.jsonl"])
def test_a_folder_that_cannot_be_written(
    open_folder: Path, pairmill: Commands, server: ModelServer, place: str
) -> None:
    """As a user without the right to write there: one line, and the server is asked for no rollout."""
    (open_folder / "closed").mkdir(mode=0o555)
    source = write_prompts(open_folder / "in.jsonl", 3)
    asked = server.requests
    words = collect_words(source, open_folder / place, server.url)
    done = pairmill.run(*words, uid=_NOBODY if os.geteuid() == 0 else 0)
    assert "Permission denied" in done.one_line()
    assert "give an --output in a folder that can be written" in done.one_line()
    assert server.requests == asked
    assert list((open_folder / "closed").iterdir()) == []


def test_an_output_that_cannot_be_opened(open_folder: Path, pairmill: Commands, server: ModelServer) -> None:
    """A finished output of another user's: --resume and --overwrite say so in one line, and change nothing."""
    output = open_folder / "theirs" / "rollouts.jsonl"
    words = collect_words(write_prompts(open_folder / "in.jsonl", 3), output, server.url)
    assert pairmill.run(*words).code == 0
    output.parent.chmod(0o555)
    for path in output.parent.iterdir():
        path.chmod(0o444)
    before = contents(output.parent)
    for flag in ("--resume", "--overwrite"):
        done = pairmill.run(*words, flag, uid=_NOBODY if os.geteuid() == 0 else 0)
        assert "Permission denied" in done.one_line()
    assert contents(output.parent) == before


def test_a_device_is_no_output(tmp_path: Path, pairmill: Commands, server: ModelServer) -> None:
    """/dev/full, /dev/null and a pipe cannot be sealed or resumed: said before the server is asked."""
    source = write_prompts(tmp_path / "in.jsonl", 3)
    os.mkfifo(tmp_path / "pipe")
    asked = server.requests
    for place in (Path("/dev/full"), Path("/dev/null"), tmp_path / "pipe"):
        done = pairmill.run(*collect_words(source, place, server.url))
        assert f"{place}: is not a regular file; give another --output" in done.one_line()
    assert server.requests == asked


def test_a_terminal_that_takes_nothing_does_not_stop_the_run(tmp_path: Path, server: ModelServer) -> None:
    """Standard output and standard error on /dev/full: the rollouts are whole all the same, and the exit code tells."""
    output = tmp_path / "out" / "rollouts.jsonl"
    words = collect_words(write_prompts(tmp_path / "in.jsonl", 3), output, server.url)
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pairing.cli", *map(str, words)]
        code = subprocess.run(command, stdout=full, stderr=full, cwd=ROOT).returncode
    assert code != 0
    assert_whole(output, 3)


def test_the_run_file_tells_of_the_stop(tmp_path: Path, pairmill: Commands, server: ModelServer) -> None:
    """After a disk error the run file, if it could be written, says `stopped`, and counts what is there."""
    output = tmp_path / "out" / "rollouts.jsonl"
    server.latency = (0.005, 0.1)  # rows come in many commits, not in one
    words = collect_words(write_prompts(tmp_path / "in.jsonl", 20), output, server.url)
    run = pairmill.start(*words, fault=("write", 7, errno.EIO))
    run.wait().one_line()
    state = read_run_file(output.with_name("rollouts.run.json"))
    assert state is not None
    assert state.state == "stopped"
    assert state.counts["rollouts"] == len(rows_in(output)) == len(run.acknowledged()) > 0

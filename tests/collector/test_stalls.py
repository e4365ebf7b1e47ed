"""A silence of the server is said once, and its end; a slow server is not told of again and again."""

from __future__ import annotations

from collector.policies import Timeouts
from collector.stalls import Outstanding
from collector.work import Job
from tests.collector.test_work import jobs
from tests.runs import Notes


class Scene:
    """Requests against a clock that is set by hand; a stall is 60 seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.watching = Notes()
        self.out = Outstanding(Timeouts(total=600.0), self.watching, clock=lambda: self.now)
        self.jobs = list(jobs(3))

    def send(self, job: Job) -> None:
        self.out.sent(job, self.now)

    def reply(self, job: Job) -> None:
        self.out.back(job)
        self.out.replied(self.now)


def test_a_silence_is_told_once_with_what_is_out_and_then_its_end() -> None:
    """Sixty seconds after the last reply, counted from there and not from each request."""
    scene = Scene()
    for job in scene.jobs:
        scene.send(job)
    scene.now += 15
    scene.reply(scene.jobs[0])
    scene.now += 59
    assert (scene.out.look(), scene.watching.notes) == (1.0, [])
    scene.now += 1
    scene.out.look()
    scene.now += 30
    scene.out.look()
    assert scene.watching.notes == [
        "no reply for 60 s: 2 requests in flight, the oldest for 75 s; each ends by --request-timeout (600 s)"
    ]
    scene.reply(scene.jobs[1])
    assert scene.watching.notes[1:] == ["replies come again, after 90 s without one"]


def test_a_slow_server_is_told_of_when_it_is_slower_than_ever() -> None:
    """The next silence must be twice as long as the one before."""
    scene = Scene()
    for silence, told in ((70, 1), (130, 1), (150, 2)):
        scene.send(scene.jobs[0])
        scene.now += silence
        scene.out.look()
        assert len([note for note in scene.watching.notes if note.startswith("no reply")]) == told
        scene.reply(scene.jobs[0])


def test_nothing_out_is_no_silence() -> None:
    """While all rollouts back off, or the judges are at work, the server owes nothing."""
    scene = Scene()
    scene.send(scene.jobs[0])
    scene.reply(scene.jobs[0])
    scene.now += 1000
    scene.out.look()
    scene.send(scene.jobs[1])
    assert (scene.out.look(), scene.watching.notes) == (60.0, [])


def test_the_most_that_was_out_at_once_is_known() -> None:
    """What the closing summary calls in flight are requests, not workers."""
    scene = Scene()
    scene.send(scene.jobs[0])
    scene.send(scene.jobs[1])
    scene.reply(scene.jobs[0])
    scene.send(scene.jobs[2])
    assert (scene.out.high_water, len(scene.out)) == (2, 2)

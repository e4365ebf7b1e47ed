"""When an endpoint that gives errors alone is passed over, and when it is tried again."""

from __future__ import annotations

import pytest

from collector.breaker import Breaker, is_endpoints_fault


def test_it_opens_after_eight_errors_in_a_row() -> None:
    """A good reply between them starts the count anew; the one error that opens it says so."""
    breaker = Breaker()
    assert not any(breaker.failed(0.0) for _ in range(7))
    assert not breaker.worked()
    assert [breaker.failed(0.0) for _ in range(10)] == [False] * 7 + [True] + [False] * 2
    assert breaker.open


def test_one_request_finds_out_after_growing_pauses() -> None:
    """1, 2, 4 ... seconds, at most 30; requests that were out together cost no further pause."""
    breaker = Breaker()
    for _ in range(20):
        breaker.failed(100.0)
    now, tries = 100.0, []
    while now < 200:
        if breaker.try_again(now):
            tries.append(now - 100)
            assert not breaker.try_again(now)
            breaker.failed(now)
        now += 0.5
    assert tries == [1, 3, 7, 15, 31, 61, 91]


def test_a_good_reply_closes_it() -> None:
    """All is as at the start then."""
    breaker = Breaker()
    for _ in range(8):
        breaker.failed(0.0)
    assert breaker.worked()
    assert not breaker.open
    assert not breaker.try_again(1000.0)
    assert not breaker.failed(0.0)


@pytest.mark.parametrize(("status", "its_own"), [(503, True), (401, True), (404, True), (400, False), (429, False)])
def test_errors_that_a_prompt_or_load_may_cause_do_not_count(status: int, its_own: bool) -> None:
    """A prompt that is too long, or a rate limit, says nothing about the endpoint."""
    assert is_endpoints_fault(status) == its_own

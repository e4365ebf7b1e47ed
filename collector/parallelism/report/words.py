"""What a summary says in words: the recommendation, the knees, the tests, how it was measured. Plain text."""

from __future__ import annotations

from collections.abc import Iterator

from collector.parallelism.agreement import Agreement
from collector.parallelism.flags import Flag
from collector.parallelism.knees import SHARE
from collector.parallelism.summary import Summary

__all__ = ["advice", "agreement_lines", "facts_lines", "flag_line", "knee_lines", "setting"]

_CACHES = {
    "salt": "every level had the same prompts and seeds; each trial had a cache_salt of its own, so that the server"
    " could use nothing that it remembered from another",
    "disjoint": "each trial went on with further prompts, so that the server could remember nothing of them; levels"
    " have different prompts",
    "none": "every level had the same prompts and seeds, and nothing kept the server from remembering them: later"
    " trials may be faster for it",
}


def setting(summary: Summary) -> str | None:
    """The flag to use; None when there is nothing to recommend."""
    best = summary.recommendation
    return f"--num-samples-in-parallel {best.level}" if best else None


def advice(summary: Summary) -> str:
    """The recommendation and how sure it is."""
    best = summary.recommendation
    if best is None:
        return "nothing can be recommended: see the flags"
    sure = f"it came out in {best.share:.0%} of the resamples"
    around = f", 95% of them lie from {best.low} to {best.high}" if best.low != best.high else ""
    return f"{best.level} is the smallest level with at least {SHARE:.0%} of the highest throughput; {sure}{around}"


def knee_lines(summary: Summary) -> Iterator[str]:
    """The three ways, one line each, and whether they agree."""
    best, segments, law = summary.recommendation, summary.segments, summary.law
    yield f"{SHARE:.0%} of the maximum: {best.level if best else 'none'}"
    if segments:
        slopes = f"throughput grows with N^{segments.slope_before:.2f} before it and N^{segments.slope_after:.2f} after"
        yield f"two segments: {segments.knee:.0f} ({slopes})"
    else:
        yield "two segments: none (too few levels, or no second segment that is markedly flatter)"
    if law:
        peak = f"highest at {law.peak:.0f}" if law.peak else "never falling"
        fit = f"rate {law.rate:.4g}/s, contention {law.contention:.3g}, coherence {law.coherence:.2g}, R² {law.r2:.3f}"
        yield f"scalability law: {law.knee} ({peak}; {fit})"
    else:
        yield "scalability law: none (fewer than three levels, or no fit)"
    yield summary.knees_differ or "the three agree within a factor of two"


def agreement_lines(summary: Summary) -> Iterator[str]:
    """The tests of reward and length."""
    yield _agreement("reward", summary.reward)
    yield _agreement("length", summary.length)


def _agreement(name: str, test: Agreement | None) -> str:
    if test is None:
        return f"{name}: not tested (fewer than ten whole prompts at two levels, or nothing to compare)"
    # A prompt that is asked again, with other seeds, is a group of its own: these may be more than there are prompts.
    of = f"{test.prompts} groups" + (" that every level had" if test.paired else " in all")
    verdict = "NOT the same at all levels" if test.differs else "the same at all levels, as far as can be told"
    return f"{name}: {verdict} (p = {test.p:.3f}; {of}; means differ by {test.widest:.3g} at most)"


def flag_line(flag: Flag) -> str:
    where = "" if flag.level is None else f" at {flag.level} in flight"
    return f"{flag.name}{where}: {flag.text}"


def facts_lines(summary: Summary) -> Iterator[str]:
    """How it was measured."""
    facts = summary.facts
    levels = ", ".join(str(figures.level) for figures in summary.levels) + (" and auto" if summary.auto else "")
    yield f"levels {levels}; each {summary.passes} times, in an order drawn anew for each pass"
    yield f"{facts.get('prompts', '?')} prompts; {_CACHES.get(str(facts.get('cache')), 'unknown way with caches')}"
    if facts.get("rounds", 1) > 1:
        when = "in all" if facts.get("cache") == "disjoint" else "in the fastest trial"
        yield f"the prompts were few: each was asked up to {facts['rounds']} times {when}, with other seeds"
    yield "a closed loop: a slot sends its next request as soon as the reply to its last one is there"
    yield "warm-up at the level itself, no pause before the window; what was out when it closed is the tail, apart"
    if summary.auto:
        yield "auto: as --num-samples-in-parallel auto, anew in each trial; longer trials, for it reads once a second"
    first = any(figures.first_token is not None for figures in summary.levels)
    own = " (the server's own mean is in the table)" if first else ""
    yield f"time to the first token: not measured by the client, requests are not streamed{own}"
    if any(figures.running is None for figures in summary.levels):
        yield "running, waiting, KV cache, preemptions: not measured, the server has no metrics under a known name"
    if any(figures.tokens_per_s is None for figures in summary.levels):
        yield "tokens: not measured, not every reply said how many it has"
    if all(figures.pairs is None for figures in summary.levels):
        yield "usable pairs: not measured: that takes a verifier and two or more repeats"

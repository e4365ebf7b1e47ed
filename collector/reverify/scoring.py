"""The main path: the rows of an existing file in, the same rows with new rewards out.

Top to bottom: read the sources once to count and check them, open the journal of the output, let a `ScoringRun` judge
the rollouts and seal. Every promise of a collecting run holds: a row that is counted is on disk, a killed run goes on
with --resume, the sealed file is in aabbcc order. The sources are never written to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.errors import UsageError
from collector.journal import StreamPaths, check_output, open_journal
from collector.journal.keys import KeySet
from collector.observer import Observer, SilentObserver
from collector.reverify.leftovers import Leftovers
from collector.reverify.origin import REVERIFIED, Origin
from collector.reverify.run import ScoringRun
from collector.reverify.sources import Sources
from collector.reverify.survey import Survey, rows_in, take_survey
from collector.settings import CollectSettings
from collector.stopping import StopSwitch
from collector.verifiers import verifier_of

if TYPE_CHECKING:  # loads the whole request path, which nothing here needs
    from collector.result import CollectResult

__all__ = ["reverify"]


async def reverify(
    settings: CollectSettings, *, observer: Observer | None = None, stop: StopSwitch | None = None
) -> CollectResult:
    """Scores the rollouts of `settings.input` with the settings' verifier, and writes them to `settings.output`.

    The input is a rollouts file of ours, sealed or not, with what stands beside it (incomplete groups, replies that
    only a verifier failed on), or NeMo Gym's. A row keeps its bytes but for its verdict. A rollout whose scoring fails
    is a row of the failures file, with its reply. Of the settings only the verifier, its vetoes, `limit` (prompts),
    `num_samples_in_parallel` (rollouts in work with a verifier that waits), the retry policy and the time limits count.
    Raises a PairmillError when the input, the output or the verifier cannot be used.
    """
    observer = observer or SilentObserver()
    paths = StreamPaths.for_output(settings.output)
    verifier = verifier_of(settings)
    if verifier is None:
        raise UsageError("--reverify: no --verifier to score with: give one")
    check_output(paths, resume=settings.resume, overwrite=settings.overwrite)
    with Sources(settings.input) as sources:
        _check_apart(settings, paths, sources)
        origin = Origin(sources.paths)
        survey = take_survey(sources, origin, settings.limit, verifier.check)
        leftovers = _leftovers(sources, origin, survey, settings.limit)
        journal_context = open_journal(
            paths,
            resume=settings.resume,
            overwrite=settings.overwrite,
            identity=_identity(settings, origin),
            input_digest=sources.digest(),
            num_repeats=survey.num_repeats,
            input_path=settings.input,
            verifier_code=verifier.code_digest,
        )
        # The verifier first: a judge that is not there is found while the output is untouched.
        async with verifier, journal_context as journal:
            run = ScoringRun(settings, sources, leftovers, verifier, journal, observer, stop or StopSwitch())
            return await run.through(survey, origin)


def _check_apart(settings: CollectSettings, paths: StreamPaths, sources: Sources) -> None:
    """A run replaces and removes the files beside its output: none of them may be one that it reads."""
    read = {snapshot.path.resolve() for snapshot in (*sources.rollouts, sources.failures) if snapshot is not None}
    read.add(sources.paths.run.resolve())
    clash = next((path for path in (*paths.all, *paths.scratch) if path.resolve() in read), None)
    if clash is not None:
        raise UsageError(f"--output {settings.output}: {clash} belongs to the input; give another --output")


def _identity(settings: CollectSettings, origin: Origin) -> dict[str, Any]:
    """What decides the content of the rescored rows; the rollouts themselves are known by their digest."""
    identity: dict[str, Any] = {REVERIFIED: True, "verifier": settings.verifier, "limit": settings.limit}
    return identity | origin.repeats() | ({"vetoes": settings.vetoes} if settings.vetoes else {})


def _leftovers(sources: Sources, origin: Origin, survey: Survey, limit: int | None) -> Leftovers:
    leftovers = Leftovers(sources, origin)
    if sources.failures is not None:
        there = KeySet(survey.num_repeats)
        for found in rows_in(sources, limit):
            there.add(*found.key)
        leftovers.find(there, limit)
    return leftovers

"""How a run is asked to stop, and which of several errors it stopped with."""

from __future__ import annotations

from collections.abc import Callable

import anyio

__all__ = ["StopSwitch", "first_error"]


class StopSwitch:
    """Asks a run to drain: no new request is sent, those in flight are finished and kept.

    `to_judge` is the run's to set: how many replies wait for their verdict, for whoever tells the user what is left.
    """

    def __init__(self) -> None:
        self.to_judge: Callable[[], int] = lambda: 0
        self._event = anyio.Event()

    @property
    def thrown(self) -> bool:
        return self._event.is_set()

    def throw(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Returns when the switch is thrown."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleeps, but no longer than until the switch is thrown."""
        with anyio.move_on_after(seconds):
            await self._event.wait()


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error inside a task group's group of them, however deep."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""The strategy `MODULE:FUNCTION` and `./FILE.py:FUNCTION`: a user's own function picks the pairs.

It is called with one prompt (`view.PromptView`) and gives an iterable of (chosen, rejected), each side a rollout index
or one of the rollouts it was given; nothing, or None, for no pair. What it picks passes the same guards as any pick.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from collector.errors import UsageError
from collector.terminal import plain
from pairing.reading.rollouts import BrokenLine, Rollout
from pairing.strategies.base import Choice, Pool
from pairing.strategies.view import PromptView, RolloutView

__all__ = ["FromFunction"]

_HOW = "give MODULE:FUNCTION or ./FILE.py:FUNCTION"


class FromFunction:
    """Calls the function for each prompt. Raises UsageError when it cannot be loaded, and, with the prompt's id, when
    it raises or gives what is no pair. Copied into another process it loads the function again."""

    def __init__(self, spec: str) -> None:
        self.name = spec
        self.function = _load(spec)

    def __reduce__(self) -> tuple[type[FromFunction], tuple[str]]:
        return FromFunction, (self.name,)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        by_index = {rollout.rollout_index: rollout for rollout in pool.usable}
        try:
            picked = self.function(PromptView.of(pool))
            given = [] if picked is None else list(picked)
        except (BrokenLine, RecursionError):
            raise
        except (Exception, SystemExit) as error:
            raise self._wrong(pool, f"{type(error).__name__}: {_said(error)}") from error
        return [self._choice(pair, by_index, pool) for pair in given] or "no_pick"

    def _choice(self, pair: Any, by_index: dict[int | None, Rollout], pool: Pool) -> Choice:
        sides = tuple(pair) if isinstance(pair, Iterable) and not isinstance(pair, str | PromptView) else ()
        if len(sides) != 2:
            raise self._wrong(pool, f"{_shown(pair)} is no (chosen, rejected)")
        return Choice(self._side(sides[0], by_index, pool), self._side(sides[1], by_index, pool))

    def _side(self, side: Any, by_index: dict[int | None, Rollout], pool: Pool) -> Rollout:
        index = side.index if isinstance(side, RolloutView) else side
        if isinstance(index, bool) or not isinstance(index, int) or index not in by_index:
            known = ", ".join(str(index) for index in by_index)
            raise self._wrong(pool, f"{_shown(side)} is no rollout of it; usable are {known}")
        return by_index[index]

    def _wrong(self, pool: Pool, what: str) -> UsageError:
        return UsageError(f"--strategy {self.name}: prompt {plain(pool.prompt_id)}: {plain(what)}")


def _said(error: BaseException) -> str:
    """The error's text; a user's own exception may fail even to say that."""
    try:
        return str(error)[:200]
    except Exception:
        return "(an error without a text)"


def _shown(value: object) -> str:
    try:
        return repr(value)[:60]
    except Exception:
        return f"a {type(value).__name__}"


def _load(spec: str) -> Callable[[PromptView], Any]:
    where, _, name = spec.rpartition(":")
    if not where or not name:
        raise UsageError(f"--strategy {spec}: {_HOW}")
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    except (Exception, SystemExit) as error:
        cause = plain(f"{type(error).__name__}: {_said(error)}")
        raise UsageError(f"--strategy {spec}: cannot import {where}: {cause}") from error
    function: Any = module
    for attribute in name.split("."):
        function = getattr(function, attribute, None)
    if not callable(function):
        what = "has no function" if function is None else "is no function:"
        raise UsageError(f"--strategy {spec}: {where} {what} {name!r}")
    loaded: Callable[[PromptView], Any] = function
    return loaded


def _load_module(name: str) -> ModuleType:
    _offer(Path.cwd())
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    _offer(path.parent)
    # Two files of one name are two modules.
    name = f"pairmill_strategy_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up there
    spec.loader.exec_module(module)
    return module


def _offer(folder: Path) -> None:
    """Last on the path, so that no file of the user's hides a package."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

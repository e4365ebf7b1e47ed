"""Imports one module of a package without running the package's own __init__, which would want all it depends on."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["alone"]


def alone(name: str, **given: Any) -> Any:
    """The module `name`, its parents empty packages; `given` are names that its direct parent's parent should have
    (`from package.utils import given`)."""
    parts = name.split(".")
    spec = PathFinder.find_spec(parts[0])
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{parts[0]}: run scripts/test-interop, which installs it")
    base = Path(next(iter(spec.submodule_search_locations)))
    for depth in range(1, len(parts)):
        package = ".".join(parts[:depth])
        if package not in sys.modules:
            empty = ModuleType(package)
            empty.__path__ = [str(base.joinpath(*parts[1:depth]))]
            empty.__spec__ = ModuleSpec(package, None, is_package=True)
            sys.modules[package] = empty
    for key, value in given.items():
        setattr(sys.modules[".".join(parts[:2])], key, value)
    return importlib.import_module(name)

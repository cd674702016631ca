"""The CEL engine's native part alone: its package would bring a command line along, half a second in every process."""

from __future__ import annotations

from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

PACKAGE, PART = "cel", "cel.cel"


def _load() -> ModuleType:
    package = find_spec(PACKAGE)
    folders = package.submodule_search_locations if package else None
    part = PathFinder.find_spec(PART, list(folders or ()))
    if part is None or part.loader is None:
        raise ImportError("The package common-expression-language is missing: install the extra `server`.")
    module = module_from_spec(part)
    part.loader.exec_module(module)
    return module


_engine: Any = _load()
Context = _engine.Context
compile_text = _engine.compile

"""A file is a plugin: every module of a package that defines ``NAME`` is one; a duplicate name is an error.

Other distributions add theirs through entry points of the group ``millwright.<package>``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from core.errors import ConfigError


class DuplicatePlugin(ConfigError):
    """Two plugins have the same name. Rename one of them."""

    code = "duplicate_plugin"


def _modules(package: str) -> list[ModuleType]:
    home = importlib.import_module(package)
    found = [importlib.import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(home.__path__)]
    points = importlib.metadata.entry_points(group=f"millwright.{package}")
    return found + [point.load() for point in points]


@cache
def load(package: str) -> dict[str, Any]:
    """Name → module for every plugin of ``package``, in alphabetical order. Raises DuplicatePlugin."""
    plugins: dict[str, Any] = {}
    for module in _modules(package):
        name = getattr(module, "NAME", None)
        if name is None:
            continue
        if name in plugins:
            raise DuplicatePlugin(f"{module.__name__} and {plugins[name].__name__} are both named {name!r}.")
        plugins[name] = module
    return dict(sorted(plugins.items()))

"""Hatch build hook: a standard wheel carries the built web app, an editable install does not build it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WebBuildHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Standard: build web/dist and take it into the wheel as api/static. Editable: build nothing."""
        root = Path(self.root)
        if version == "editable":
            # The wheel's force-include also holds for editable builds and refuses a folder that does not exist.
            (root / "web" / "dist").mkdir(parents=True, exist_ok=True)
            return
        _web_build(root).build(root)
        build_data["force_include"]["web/dist"] = "api/static"


def _web_build(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_build", root / "deploy" / "web_build.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(root / "deploy" / "web_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""Marks of a source (``edge.kinds.Marks``) in a small file beside a gateway's spool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from core import log


class FileMarks:
    """One JSON object, tag → µs, replaced as a whole. An old file is harmless: more is read again, and known again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks: dict[str, int] = {}
        self._log = log.get("edge")

    def load(self) -> Mapping[str, int]:
        """What the file says; nothing when there is none or it cannot be read."""
        try:
            found = json.loads(self.path.read_text("utf-8"))
            self._marks = {str(tag): int(us) for tag, us in found.items()}
        except FileNotFoundError:
            self._marks = {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            self._log.warning("marks.unreadable", path=str(self.path), error=str(error))
            self._marks = {}
        return dict(self._marks)

    def save(self, marks: Mapping[str, int]) -> None:
        """Marks that advanced; a disk that refuses costs nothing but a longer way back."""
        self._marks.update(marks)
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            fresh.write_text(json.dumps(self._marks), "utf-8")
            fresh.replace(self.path)
        except OSError as error:
            self._log.warning("marks.unwritable", path=str(self.path), error=str(error))

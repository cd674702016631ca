"""The cells of one row by meaning, and what is wrong in them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plant.import_words import EXPORT, say

ASSET_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SIGNAL_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
RUN = ("=", "+", "-", "@")  # an export sets ' before such a text, so that no spreadsheet runs it


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not fit: the row as a spreadsheet counts, the column by its heading, and values for the sentence."""

    row: int
    column: str
    key: str
    values: Mapping[str, object]

    @property
    def message(self) -> dict[str, str]:
        """The sentence in every language."""
        return say(self.key, self.values)


@dataclass(frozen=True, slots=True)
class Cells:
    """One row: ``cells["name"]`` is the text of that column, "" where there is none."""

    row: int
    texts: Mapping[str, str]
    header: Sequence[str]
    columns: Mapping[str, int]

    def __getitem__(self, key: str) -> str:
        text = self.texts.get(key, "").strip()
        return text[1:] if text[:1] == "'" and text[1:].lstrip(" ").startswith(RUN) else text

    def problem(self, column: str, key: str, **values: object) -> Problem:
        """Something is wrong in a column; one that the file has not is called as in the export."""
        heading = self.header[self.columns[column]] if column in self.columns else EXPORT[column][0]
        return Problem(self.row, heading, key, values)


def whole(text: str) -> int | None:
    """A whole number, None for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def number(text: str) -> float | None:
    """A finite number with a point or a comma for decimals, None for anything else."""
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= 1e15 else None

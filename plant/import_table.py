"""A file → rows of texts, read in a child process with limits (``plant/import_child.py``)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from core.errors import Unavailable
from plant.errors import FileUnreadable

CHILD = Path(__file__).with_name("import_child.py")
WITHIN_S = 60.0
MOST_ROWS = 20_000
MOST_BYTES = 20_000_000
AT_ONCE = threading.BoundedSemaphore(2)
TOO_MUCH = 4


def read(path: Path) -> list[list[str]]:
    """Every row of the first sheet, cells as texts without blanks around. Raises FileUnreadable, Unavailable."""
    if path.stat().st_size > MOST_BYTES:
        raise FileUnreadable(f"The file has more than {MOST_BYTES // 1_000_000} MB. Divide it, parents first.")
    if not AT_ONCE.acquire(timeout=WITHIN_S):
        raise Unavailable("Too many tables are being read. Send it again in a moment.")
    try:
        return _rows(path)
    finally:
        AT_ONCE.release()


def _rows(path: Path) -> list[list[str]]:
    command = [sys.executable, "-I", str(CHILD), str(path), str(MOST_ROWS)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=WITHIN_S, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise FileUnreadable(f"The table is not read within {WITHIN_S:g} seconds. Divide it.") from error
    if done.returncode == TOO_MUCH:
        raise FileUnreadable(f"The table has more than {MOST_ROWS:,} rows or 100 columns. Divide it, parents first.")
    if done.returncode != 0:
        raise FileUnreadable
    return [[str(cell) for cell in row] for row in json.loads(done.stdout)["rows"]]

"""What a killed database server leaves behind: backends that notice only at the end of their statement."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from core.processes import parent_of, title

ASK_S = 0.5  # so long they may finish …
INSIST_S = 2.5  # … and so long leave by themselves


def of(processes: Sequence[int]) -> list[int]:
    """Those of one cluster's processes whose postmaster is gone. Nothing they do is confirmed to anybody any more."""
    return [pid for pid in processes if title(pid).startswith("postgres: ") and parent_of(pid) not in processes]


def dismiss(orphans: Sequence[int], *, waited_s: float) -> None:
    """Tell them to quit, as their postmaster would have; later, end them."""
    if waited_s > ASK_S:
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if waited_s > INSIST_S else signal.SIGQUIT)

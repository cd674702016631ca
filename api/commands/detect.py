"""The verb that runs the detectors alone."""

from __future__ import annotations

from api import up
from api.commands.parts import start, stop_event
from core import clock
from detectors.runner import Patience, Runner


def detect(argv: list[str]) -> int:
    """Judge new samples and open orders until a signal says stop."""
    instance = start("detect", "Judge new samples and open orders.", argv)
    up.wire()
    patience = Patience.SHARED if instance.settings.ingest_workers > 1 else Patience.LIVE
    Runner(instance.database, clock.load, up.on_finding(), up.on_rejudged(), up.on_findings()).run_forever(
        stop_event(), patience=patience
    )
    return 0

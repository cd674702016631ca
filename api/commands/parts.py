"""What every part of the product needs at its start."""

from __future__ import annotations

import argparse
import signal
import threading
from types import FrameType

from api.instance import Instance
from core import log
from core.settings import Settings, settings


def start(verb: str, summary: str, argv: list[str]) -> Instance:
    """Parse a verb without options, set up logging, and return the instance."""
    argparse.ArgumentParser(prog=f"millwright {verb}", description=summary).parse_args(argv)
    return instance_of(settings())


def instance_of(found: Settings) -> Instance:
    """The instance of these settings, with logging set up."""
    log.configure(found.log_level, found.log_format)
    return Instance(found)


def say(text: str) -> None:
    """A line of progress for the person at the terminal."""
    print(f"[millwright] {text}", flush=True)


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set; call it on the main thread."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop

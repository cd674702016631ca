"""The verb that runs the job worker alone."""

from __future__ import annotations

import asyncio
import signal

from api import backtesting, up
from api.commands.audit import seal_of
from api.commands.parts import start
from core import jobs
from tickets import roots


def worker(argv: list[str]) -> int:
    """Run timers, verifications and notices until a signal says stop."""
    instance = start("worker", "Run timers, verifications and notices.", argv)
    up.wire()
    roots.sign_with(seal_of(instance))

    async def work() -> None:
        running = jobs.Worker(instance.database)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.stop)
        await running.run()

    try:
        asyncio.run(work())
    finally:
        backtesting.stop()
    return 0

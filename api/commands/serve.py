"""The verb that serves API and web alone."""

from __future__ import annotations

import argparse

from api import server, up
from api.app import create_app
from api.commands.audit import seal_of
from api.commands.parts import instance_of
from core import timers
from core.settings import settings
from maintenance import evidence_pack


def serve(argv: list[str]) -> int:
    """Serve until a signal says stop."""
    parser = argparse.ArgumentParser(prog="millwright serve", description="Serve API and web.")
    parser.add_argument("--host", default=settings().host, help="address to bind to (default: %(default)s)")
    parser.add_argument("--port", type=int, default=settings().port, help="port (default: %(default)s)")
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    up.wire()
    evidence_pack.sign_with(seal_of(instance))
    timers.Watch(instance.database, timers.Role.STAND_BY).start()  # while no worker lives
    app = create_app(instance.database, settings=instance.settings)
    server.run(app, host=arguments.host, port=arguments.port, log_level=instance.settings.log_level.lower())
    return 0

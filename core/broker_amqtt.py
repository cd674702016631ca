"""The embedded broker: amqtt in a process of its own, with our passwords and rules. For demos: it loses long bursts.

    python -m core.broker_amqtt CONFIG.json        {"host": …, "port": …, "users_file": …}

amqtt 0.12 lets a connection that has not proved itself yet rewrite the user name of a persistent session with the same
client id. The door therefore remembers who a session was opened by, and a session whose name changed may do nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker, BrokerContext
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from core.broker_log import OURS
from core.broker_rules import Access, allowed, verify_password

RELOAD_S = 0.5
OWNER, PROOF = "millwright.opened_by", "millwright.password"
log = logging.getLogger("millwright.broker")


class Users:
    """The users file, read again when it changes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, str] = {}
        self._stamp = 0

    def current(self) -> dict[str, str]:
        """name → ``$7$`` hash."""
        found = self._file.stat()
        stamp = found.st_mtime_ns ^ found.st_ino
        if stamp != self._stamp:
            lines = self._file.read_text("utf-8").splitlines()
            self._found = {name: kept for name, _, kept in (line.partition(":") for line in lines)}
            self._stamp = stamp
        return self._found


class Door(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]
    """Password check at connect, rules for every publish, subscription and delivery."""

    @dataclass
    class Config:
        """``users_file``: lines ``name:$7$…``; read again when it changes."""

        users_file: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._file = Users(Path(self.config.users_file))
        self._look()

    async def authenticate(self, *, session: Session) -> bool:
        """Whether the password fits and the session is not somebody else's."""
        self._look()
        user, kept = session.username or "", self._users.get(session.username or "")
        owner: str | None = session.attributes.get(OWNER)
        if kept is None or owner not in (None, user) or not verify_password(session.password or "", kept):
            log.warning("refused: user %r, client %r", user, session.client_id)
            session.username = owner
            return False
        session.attributes[OWNER], session.attributes[PROOF] = user, kept
        return True

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether the user that opened the session may do this; somebody revoked may do nothing."""
        if time.monotonic() - self._looked > RELOAD_S:
            self._look()
        if session is None or topic is None:
            return False
        user: str | None = session.attributes.get(OWNER)
        if user is None or user != session.username or user not in self._users:
            return False
        if action is not Action.PUBLISH:
            return allowed(user, Access.READ, topic)
        may = allowed(user, Access.WRITE, topic)
        if not may:
            _say_denied(user, topic)
        return may

    def _look(self) -> None:
        self._looked = time.monotonic()
        self._users = self._file.current()


def _say_denied(user: str, topic: str) -> None:
    """A line for core.broker_log; what a topic holds cannot end it."""
    sys.stderr.write(f"{OURS}{user} {topic.encode('unicode_escape').decode()}\n")


def configuration(host: str, port: int, users_file: str) -> dict[str, Any]:
    """amqtt's own configuration: one TCP listener, our door, nothing else."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
        "plugins": {f"core.broker_amqtt.{Door.__name__}": {"users_file": users_file}},
    }


async def serve(host: str, port: int, users_file: str) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = Broker(configuration(host, port, users_file))
    await broker.start()
    log.info("listening on %s:%d", host, port)
    users = Users(Path(users_file))
    while not stop.is_set():
        await _hang_up(broker, users.current())
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), RELOAD_S)
    await broker.shutdown()


async def _hang_up(broker: Broker, users: dict[str, str]) -> None:
    """End the session of whoever was revoked or has another password now."""
    for session, handler in list(broker.sessions.values()):
        owner = session.attributes.get(OWNER)
        if owner is not None and session.transitions.is_connected() and users.get(owner) != session.attributes[PROOF]:
            log.warning("%s was revoked: its session ends", owner)
            await handler.stop()


def main(argv: list[str]) -> int:
    """Entry of the process; its only argument is the configuration file."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("amqtt").setLevel(logging.WARNING)
    logging.getLogger("transitions").setLevel(logging.WARNING)
    asyncio.run(serve(**json.loads(Path(argv[0]).read_text("utf-8"))))
    return 0


__all__ = ["BrokerContext", "Door", "configuration", "main", "serve"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the process that runs the broker does every second: devices in, denied publishes out.

devices ──NOTIFY──> Watch.look ──> Broker.refresh        registered, revoked
device_denials  <── Watch.look <── Denials.take          every few seconds
"""

from __future__ import annotations

import time

import psycopg
from psycopg import Connection

from api import devices
from core import log, tls
from core.broker import Broker
from core.broker_log import Denials
from core.broker_mosquitto import Listeners, Plain
from core.database import INGEST, Database
from core.errors import ConfigError
from core.settings import Settings

KEEP_DENIALS_S = 3.0
FORGET_DENIALS_S = 3600.0
logger = log.get("up")


class Watch:
    """Ties a broker to the database; ``look`` is called every second, always from one thread."""

    def __init__(self, database: Database, broker: Broker, denials: Denials) -> None:
        self.database, self.broker, self.denials = database, broker, denials
        self._conn: Connection | None = None
        self._kept = self._forgot = time.monotonic()

    def look(self) -> None:
        """One short look; a database that is away is asked again at the next."""
        try:
            self._devices(self._conn or self._connect())
            self._denials()
        except psycopg.OperationalError as error:
            logger.warning("devices not read", why=str(error))
            self._conn = None
        self.broker.turn()

    def close(self) -> None:
        """Let the connection go."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _connect(self) -> Connection:
        self._conn = self.database.connect(role=INGEST)
        self._conn.execute(f"listen {devices.CHANNEL}")
        self._refresh(self._conn)
        return self._conn

    def _devices(self, conn: Connection) -> None:
        if any(True for _ in conn.notifies(timeout=0)):
            self._refresh(conn)

    def _refresh(self, conn: Connection) -> None:
        self.broker.refresh(devices.broker_users(conn), devices.revoked_certificates(conn))

    def _denials(self) -> None:
        now = time.monotonic()
        if self._conn is None or now - self._kept < KEEP_DENIALS_S:
            return
        self._kept = now
        counts = self.denials.take()
        try:
            if counts:
                devices.keep_denials(self._conn, counts)
            if now - self._forgot > FORGET_DENIALS_S:
                self._forgot = now
                devices.forget_denials(self._conn)
        except psycopg.Error:
            self.denials.give_back(counts)
            raise


def listeners(settings: Settings) -> Listeners:
    """What the settings say the managed broker listens on. Raises ConfigError, CertificateInvalid."""
    given = None
    if settings.mqtt_tls_cert or settings.mqtt_tls_key:
        if not (settings.mqtt_tls_cert and settings.mqtt_tls_key):
            raise ConfigError("mqtt_tls_cert and mqtt_tls_key go together: set both, or neither.")
        given = tls.given(settings.mqtt_tls_cert, settings.mqtt_tls_key)
    return Listeners(
        address=settings.mqtt_listen,
        plain=Plain(settings.mqtt_plain),
        tls_port=settings.mqtt_tls_port,
        certificate_port=settings.mqtt_certificate_port,
        given=given,
        names=tuple(name for name in (each.strip() for each in settings.mqtt_tls_names.split(",")) if name),
    )

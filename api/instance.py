"""One instance of Millwright on this machine: its data directory, secrets, and where its servers listen.

``up`` writes ``run.json`` into the data directory once the database and the broker run; every part and command finds
them there. With ``database_url`` and ``broker_url`` set, the parts need no ``up`` at all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from psycopg.conninfo import make_conninfo

from core import broker_rules
from core.database import Database
from core.errors import ConfigError
from core.lock import holder
from core.secrets import Secrets, load_or_create
from core.settings import Settings

RUN_FILE = "run.json"
MQTT_PORT = 1883


class NotRunning(ConfigError):
    """No Millwright runs on this data directory."""

    code = "not_running"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the running instance's servers listen; holds no secret."""

    address: str  # http://127.0.0.1:8080
    database_host: str  # socket folder of the embedded server, or "" with a server of one's own
    database_port: int
    broker_kind: str  # mosquitto, amqtt or external
    broker_host: str
    broker_port: int
    tls_port: int | None = None  # of the managed broker, with passwords
    certificate_port: int | None = None  # and with client certificates

    def write(self, data_dir: Path) -> None:
        path = data_dir / RUN_FILE
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=2))
        fresh.replace(path)

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """The endpoints of the instance that runs on ``data_dir``; None when none does."""
        path = data_dir / RUN_FILE
        if not path.exists():
            return None
        return cls(**json.loads(path.read_text())) if holder(data_dir) else None


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """How one account reaches the broker."""

    kind: str
    host: str
    port: int
    user: str
    password: str


class Instance:
    """Settings, secrets and connections of one data directory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.expanduser().resolve()

    @cached_property
    def secrets(self) -> Secrets:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return load_or_create(self.data_dir)

    @property
    def endpoints(self) -> Endpoints | None:
        return Endpoints.read(self.data_dir)

    def running(self) -> Endpoints:
        """The endpoints, or NotRunning with what to do."""
        found = self.endpoints
        if found is None:
            raise NotRunning(
                f"No Millwright runs on {self.data_dir}. Start it with `millwright up`, name another data directory "
                "in MILLWRIGHT_DATA_DIR, or set MILLWRIGHT_DATABASE_URL and MILLWRIGHT_BROKER_URL."
            )
        return found

    @cached_property
    def database(self) -> Database:
        return Database(
            self.dsn("millwright_app"),
            self.dsn("millwright_ingest"),
            self.dsn("millwright_owner"),
            statement_timeout_s=self.settings.statement_timeout_s,
        )

    def dsn(self, role: str) -> str:
        """How ``role`` reaches the database: the settings' DSN, else the embedded server."""
        own = {
            "millwright_app": self.settings.database_url,
            "millwright_ingest": self.settings.database_ingest_url or self.settings.database_url,
            "millwright_owner": self.settings.database_owner_url or self.settings.database_url,
        }[role]
        if own:
            return own
        found = self.running()
        return self.embedded_dsn(role, host=found.database_host, port=found.database_port)

    def embedded_dsn(self, role: str, *, host: str, port: int) -> str:
        passwords = {
            "millwright_app": self.secrets.db_app,
            "millwright_ingest": self.secrets.db_ingest,
            "millwright_owner": self.secrets.db_owner,
        }
        return make_conninfo(host=host, port=port, user=role, password=passwords[role], dbname="millwright")

    def broker(self, user: str = broker_rules.INGEST) -> BrokerAccess:
        """How ``user`` (ingest or the simulators' floor) reaches the broker."""
        if self.settings.broker_url:
            return parse_broker(self.settings.broker_url)
        found = self.running()
        password = {broker_rules.INGEST: self.secrets.mqtt_ingest, broker_rules.SIMULATOR: self.secrets.mqtt_simulator}[
            user
        ]
        return BrokerAccess(found.broker_kind, found.broker_host, found.broker_port, user, password)

    @property
    def short_id(self) -> str:
        return self.secrets.instance_id


def parse_broker(url: str) -> BrokerAccess:
    """``mqtt://user:password@host:port``; raises ConfigError when it is none."""
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise ConfigError("MILLWRIGHT_BROKER_URL must look like mqtt://user:password@host:1883.")
    return BrokerAccess(
        "external",
        parts.hostname,
        parts.port or MQTT_PORT,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )

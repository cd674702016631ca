"""The managed broker: mosquitto where it is installed, else amqtt, on 127.0.0.1, with our users and rules.

broker = Broker(data_dir, secrets, port=1883, users=[("gateway-1", "$7$…")])
info = broker.start()             # which program runs, and whether it may lose messages
broker.refresh(users, revoked)    # after a device was added or revoked
broker.stop()
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import structlog

from core import broker_mosquitto as doors
from core import broker_rules as rules
from core import places
from core.broker_log import Denials, Load, Reader
from core.broker_mosquitto import HOST, Listeners, Trace
from core.certificates import RENEW_BEFORE, expires
from core.clock import wall_now
from core.errors import MillwrightError
from core.processes import Child, python_environment, service_user, spawn, tail
from core.secrets import Secrets
from core.tls import Authority, server_names

ACCOUNTS = ("millwright", "mosquitto", "nobody")
OLDEST_MOSQUITTO = (2, 0)
INFLIGHT = 5000
POLL_S = 0.02
log = structlog.get_logger(__name__)


class BrokerDown(MillwrightError):
    """The broker does not start."""

    code = "broker_down"
    status = 503


class Kind(StrEnum):
    """The program that carries the messages. AUTO chooses MOSQUITTO where it is installed, else AMQTT."""

    AUTO = "auto"
    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """A running broker. ``lossy`` says in words when and why it may lose messages; None when it does not."""

    kind: Kind
    host: str
    port: int
    version: str
    lossy: str | None = None


AMQTT_LOSSY = "amqtt keeps messages in memory only and loses bursts over about 3,000; install mosquitto for real use"


class Broker:
    """One broker under ``data_dir/broker`` (see ``core.places`` for root), run as our child.

    ``users``: (name, ``$7$`` hash) of every device that is not revoked; Millwright's own two users are added.
    ``revoked``: serial number → device of certificates that open nothing any more. With ``denials``, denied publishes
    are counted there; without, the log goes to its file as it is.
    """

    def __init__(
        self,
        data_dir: Path,
        secrets: Secrets,
        *,
        port: int,
        kind: Kind = Kind.AUTO,
        users: Iterable[tuple[str, str]] = (),
        revoked: Mapping[str, str] | None = None,
        listeners: Listeners | None = None,
        denials: Denials | None = None,
        log_file: Path | None = None,
        inflight: int = INFLIGHT,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.secrets = secrets
        self.port = port
        self.inflight = inflight
        self.kind, self._program, self.version = choose(kind)
        self.user = service_user(*ACCOUNTS) if self.kind is Kind.MOSQUITTO else None
        self.log_file = log_file or self.data_dir / "logs" / "broker.log"
        self.child: Child | None = None
        self._own = (
            (rules.INGEST, rules.hash_password(secrets.mqtt_ingest)),
            (rules.SIMULATOR, rules.hash_password(secrets.mqtt_simulator)),
        )
        self._users, self._revoked = dict(users), dict(revoked or {})
        self.listeners = listeners or Listeners()
        self.authority = Authority(self.data_dir)
        self._renew_at: datetime | None = None
        self._denials = denials
        self._reader: Reader | None = None
        self._load = Load()
        if self.listeners.encrypted and self.kind is Kind.AMQTT:
            raise BrokerDown(
                "TLS and client certificates need mosquitto: install it (`apt-get install mosquitto`), or unset "
                "mqtt_tls_port and mqtt_certificate_port."
            )

    @property
    def info(self) -> BrokerInfo:
        lossy = AMQTT_LOSSY if self.kind is Kind.AMQTT else None
        return BrokerInfo(self.kind, HOST, self.port, self.version, lossy)

    @property
    def home(self) -> Path:
        """The folder of its configuration, users and kept messages."""
        return places.place(self.data_dir, "broker", instance_id=self.secrets.instance_id, user=self.user)

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child and self.child.poll() is None else None

    def start(self, *, within_s: float = 15.0) -> BrokerInfo:
        """Start; returns when our own user can connect. Raises BrokerDown with the last lines of its log."""
        places.home(self.data_dir, "broker", instance_id=self.secrets.instance_id, user=self.user)
        command = self._mosquitto() if self.kind is Kind.MOSQUITTO else self._amqtt()
        self._write_users()
        self._reader = None if self._denials is None else Reader(self.log_file, self._denials)
        self.child = spawn(
            command,
            log=self.log_file,
            user=self.user,
            death=signal.SIGTERM if self.kind is Kind.MOSQUITTO else signal.SIGKILL,
            env=python_environment(),
            cwd=self.home if self.user else None,
            output=self._reader.writing_end if self._reader else None,
        )
        if self._reader:
            self._reader.start()
        if not self.ready(within_s=within_s):
            code = self.child.stop()
            if self._reader:
                self._reader.join(1.0)
            raise BrokerDown(
                f"The broker ({self.kind} {self.version}) does not start on {HOST}:{self.port} (exit code {code}). "
                f"{tail(self.log_file)}"
            )
        log.info("broker.started", kind=str(self.kind), version=self.version, port=self.port, lossy=self.info.lossy)
        return self.info

    def stop(self, *, within_s: float = 5.0) -> None:
        """Clean shutdown: mosquitto writes down what it still holds."""
        if self.child:
            self.child.stop((signal.SIGTERM, within_s))
            self.child = None

    def poll(self) -> int | None:
        """Exit code of an ended broker, None while it runs."""
        return self.child.poll() if self.child else 0

    def ready(self, *, within_s: float) -> bool:
        """Whether our own user can connect within ``within_s`` seconds; False at once when the broker has ended."""
        deadline = time.monotonic() + within_s
        while self.pid is not None and time.monotonic() < deadline:
            if probe(HOST, self.port, user=rules.INGEST, password=self.secrets.mqtt_ingest) == 0:
                return True
            time.sleep(POLL_S)
        return False

    def refresh(self, users: Iterable[tuple[str, str]], revoked: Mapping[str, str] | None = None) -> bool:
        """Take over the devices and revoked certificates as they are now; True when something changed.

        A device that is gone, or has another password or a certificate less, is cut off at once, its session too.
        """
        now, void = dict(users), dict(revoked or {})
        if (now, void) == (self._users, self._revoked):
            return False
        gone = {name for name, digest in self._users.items() if now.get(name) != digest}
        gone |= {void[serial] for serial in void.keys() - self._revoked.keys()}
        self._users, self._revoked = now, void
        self._write_users()
        self._hang_up(gone)
        return True

    def turn(self) -> None:
        """To be called every second or so: renews the server's certificate, and does not log every packet of a flood.

        mosquitto names a denied publish only where it names every packet, which costs it a third more a message.
        """
        if self.kind is not Kind.MOSQUITTO or self.pid is None:
            return
        if self._renew_at is not None and wall_now() >= self._renew_at:
            self._write_server()
            self._tell()
        trace = self._load.trace
        if self._reader and self._load.look(self._reader.packets) is not trace:
            counted = (
                "counted again" if self._load.trace is Trace.FULL else "not counted for ten minutes: too many packets"
            )
            log.warning("broker.denied_publishes", now=counted)
            self._configure()
            self._tell()

    def _hang_up(self, names: Iterable[str]) -> None:
        """End the sessions of these devices. mosquitto does so itself where a password went; where a certificate was
        revoked, somebody else must take the session's name. It reads the signal before it reads what comes after."""
        self._tell()
        if self.kind is Kind.MOSQUITTO and self.child and self.listeners.certificate_port is not None:
            for name in sorted(names):
                probe(HOST, self.port, user=rules.INGEST, password=self.secrets.mqtt_ingest, client_id=name)

    def _tell(self) -> None:
        """Let mosquitto read its files again; amqtt looks by itself."""
        if self.kind is Kind.MOSQUITTO and self.child:
            self.child.send(signal.SIGHUP)

    def destroy(self) -> None:
        """Stop, and delete its files."""
        self.stop()
        home = self.home
        if home.exists():
            shutil.rmtree(home)
        if home.parent.name == self.secrets.instance_id and not any(home.parent.iterdir()):
            home.parent.rmdir()

    def _mosquitto(self) -> list[str | Path]:
        self._write("rules", rules.mosquitto_acl())
        if self.listeners.encrypted:
            self._write_server()
        self._configure()
        return [self._program, "-c", self.home / "mosquitto.conf"]

    def _configure(self) -> None:
        trace = Trace.OFF if self._denials is None else self._load.trace
        text = doors.configuration(self.home, self.port, self.listeners, inflight=self.inflight, trace=trace)
        self._write("mosquitto.conf", text)

    def _amqtt(self) -> list[str | Path]:
        values = {"host": HOST, "port": self.port, "users_file": str(self.home / "users")}
        self._write("amqtt.json", json.dumps(values))
        return [sys.executable, "-m", "core.broker_amqtt", self.home / "amqtt.json"]

    def _write_users(self) -> None:
        self._write("users", rules.password_file((*self._users.items(), *self._own)))
        if self.listeners.certificate_port is not None:
            self._write(doors.REVOKED, self.authority.revocations(self._revoked).decode())

    def _write_server(self) -> None:
        server = self.listeners.given
        if server is None:
            server = self.authority.server(server_names(self.listeners.address, self.listeners.names))
            self._renew_at = expires(server.certificate) - RENEW_BEFORE
        self._write(doors.SERVER_KEY, server.key.decode())
        self._write(doors.SERVER_CERTIFICATE, server.certificate.decode())
        self._write(doors.AUTHORITY, self.authority.identity.certificate.decode())

    def _write(self, name: str, text: str) -> None:
        """Only the broker may read it; a reader sees the old or the new file, never a part."""
        fresh = self.home / f".{name}.new"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as target:
            target.write(text)
        places.give(fresh, self.user)
        fresh.replace(self.home / name)


def choose(kind: Kind) -> tuple[Kind, str, str]:
    """(kind, program, version) of the managed broker. Raises BrokerDown when the wanted one is not there."""
    program = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    )
    if kind in (Kind.AUTO, Kind.MOSQUITTO) and program:
        version = mosquitto_version(program)
        if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_MOSQUITTO:
            return Kind.MOSQUITTO, program, version
        log.warning("broker.mosquitto_too_old", version=version, needed="2.0")
    if kind is Kind.MOSQUITTO:
        raise BrokerDown(
            "mosquitto 2.0 or newer is not installed. Run `apt-get install mosquitto`, or set broker_kind."
        )
    try:
        return Kind.AMQTT, sys.executable, importlib.metadata.version("amqtt")
    except importlib.metadata.PackageNotFoundError as error:
        raise BrokerDown("No broker is installed: `apt-get install mosquitto` or `pip install amqtt`.") from error


def mosquitto_version(program: str) -> str:
    """The version a mosquitto program says it has, or 0.0."""
    said = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=5, check=False).stdout
    found = re.search(r"version (\d+\.\d+(?:\.\d+)?)", said)
    return found[1] if found else "0.0"


def probe(host: str, port: int, *, user: str, password: str, client_id: str = "", within_s: float = 2.0) -> int | None:
    """One MQTT 3.1.1 connect: the broker's answer (0 accepted, 4 or 5 refused), None when none comes in time."""
    texts = b"".join(struct.pack("!H", len(text)) + text for text in map(str.encode, (client_id, user, password)))
    body = b"\x00\x04MQTT\x04\xc2\x00\x05" + texts
    try:
        with socket.create_connection((host, port), timeout=within_s) as link:
            link.sendall(b"\x10" + _length(len(body)) + body)
            answer = b""
            while len(answer) < 4:
                more = link.recv(4 - len(answer))
                if not more:
                    return None
                answer += more
            link.sendall(b"\xe0\x00")
    except OSError:
        return None
    return answer[3] if answer[0] == 0x20 else None


def _length(number: int) -> bytes:
    """MQTT's variable length: 7 bits a byte, low ones first."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _length(rest) if rest else bytes([low])

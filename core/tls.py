"""The instance's own authority under ``data_dir/pki``, and the server certificate of its broker.

pki/ca.key      the authority's key (0600): whoever has it can be any device
pki/ca.pem      its certificate: what devices verify the broker with
pki/server.pem  the broker's certificate and key, made anew before it ends or when its names change
"""

from __future__ import annotations

import os
import secrets as random
import shutil
import socket
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from core import certificates
from core.certificates import CertificateInvalid, Identity
from core.clock import wall_now

FOLDER = "pki"
LOCAL = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
PRIVATE, PUBLIC = 0o600, 0o644


class Authority:
    """Signs for one instance. Its files are made when they are first needed; two processes may do so at once."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.resolve() / FOLDER

    @property
    def certificate_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def identity(self) -> Identity:
        """The authority's certificate and key. Raises CertificateInvalid when they cannot be read."""
        if not self.folder.exists():
            self._create()
        return _read(self.certificate_file, self.folder / "ca.key")

    def server(self, names: Sequence[str]) -> Identity:
        """The broker's certificate for exactly these names, at least 30 days from its end."""
        authority, kept = self.identity, self.folder / "server.pem"
        if kept.exists():
            found = _read(kept, kept)
            fresh = certificates.expires(found.certificate) - certificates.RENEW_BEFORE > wall_now()
            ours = certificates.issued_by(found.certificate, authority.certificate)
            if fresh and ours and certificates.names_of(found.certificate) == frozenset(names):
                return found
        made = certificates.issue_server(authority, names, now=wall_now())
        _write(kept, made.certificate + made.key, mode=PRIVATE)
        return _read(kept, kept)

    def client(self, name: str) -> Identity:
        """A new certificate and key for a device; nothing of it is kept here."""
        return certificates.issue_client(self.identity, name, now=wall_now())

    def sign(self, name: str, request: bytes) -> bytes:
        """A certificate for a device that made its key itself. Raises CertificateInvalid."""
        return certificates.sign_request(self.identity, name, request, now=wall_now())

    def revocations(self, serials: Iterable[str]) -> bytes:
        """The revocation list with these serial numbers."""
        return certificates.revocation_list(self.identity, serials, now=wall_now())

    def server_expires(self) -> datetime | None:
        """When the broker's certificate ends; None when there is none."""
        path = self.folder / "server.pem"
        return certificates.expires(path.read_bytes()) if path.exists() else None

    def _create(self) -> None:
        """The folder appears whole or not at all: the first process wins."""
        made = certificates.new_authority(f"Millwright {socket.gethostname()}"[:64], now=wall_now())
        fresh = self.folder.with_name(f".{FOLDER}.{random.token_hex(4)}")
        fresh.mkdir(mode=0o700, parents=True)
        _write(fresh / "ca.key", made.key, mode=PRIVATE)
        _write(fresh / "ca.pem", made.certificate, mode=PUBLIC)
        try:
            fresh.rename(self.folder)
        except OSError:
            shutil.rmtree(fresh)
            if not self.folder.exists():
                raise


def server_names(listen: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """What the broker is called: this machine's names, the address it listens on, and what the settings add."""
    listening = () if listen in ANY_ADDRESS else (listen,)
    return tuple(dict.fromkeys((*LOCAL, socket.gethostname(), *listening, *more)))


def given(certificate: Path, key: Path) -> Identity:
    """A certificate that somebody else signed (its chain may follow in the same file). Raises CertificateInvalid."""
    found = _read(certificate, key)
    try:
        certificates.check_identity(found, now=wall_now())
    except CertificateInvalid as error:
        raise CertificateInvalid(f"{certificate}, {key}: {error.message}") from error
    return found


def write_client(folder: Path, name: str, found: Identity, *, authority: bytes) -> tuple[Path, Path, Path]:
    """(certificate, key, authority) as files in ``folder``; the key for its owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem"
    _write(paths[1], found.key, mode=PRIVATE)
    _write(paths[0], found.certificate, mode=PUBLIC)
    _write(paths[2], authority, mode=PUBLIC)
    return paths


def _read(certificate: Path, key: Path) -> Identity:
    try:
        return Identity(certificate.read_bytes(), key.read_bytes())
    except OSError as error:
        raise CertificateInvalid(f"{error.filename} cannot be read: {error.strerror}.") from error


def _write(path: Path, content: bytes, *, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.{random.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    fresh.replace(path)

"""Secrets of an instance: made at first start, kept in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets as random
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.errors import ConfigError

NAME = "secrets.json"
PRIVATE = 0o600
LASTING = frozenset({"instance_id", "db_superuser"})  # the database cluster was made with them


class SecretsExposed(ConfigError):
    """The secrets file can be read by others."""

    code = "secrets_exposed"


class SecretsDamaged(ConfigError):
    """The secrets file cannot be read."""

    code = "secrets_damaged"


def _password() -> str:
    return random.token_urlsafe(24)


def _key() -> str:
    return random.token_hex(32)


def _instance() -> str:
    return random.token_hex(6)


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Random passwords (192 bits, URL-safe), a signing key (256 bits, hex) and the instance's id (not secret)."""

    instance_id: str = field(default_factory=_instance)
    signing_key: str = field(default_factory=_key)
    db_superuser: str = field(default_factory=_password)
    db_owner: str = field(default_factory=_password)
    db_app: str = field(default_factory=_password)
    db_ingest: str = field(default_factory=_password)
    mqtt_ingest: str = field(default_factory=_password)
    mqtt_simulator: str = field(default_factory=_password)

    def __repr__(self) -> str:
        return f"Secrets(instance_id={self.instance_id!r}, …)"


def load_or_create(data_dir: Path) -> Secrets:
    """Read ``data_dir/secrets.json``, or make it. A secret that a newer version needs is added to the file.

    Raises SecretsExposed when group or others may read it, SecretsDamaged when it is no such file.
    """
    path = data_dir / NAME
    if not path.exists():
        made = Secrets()
        _create(path, made)
        return _read(path)[0]
    kept, complete = _read(path)
    if not complete:
        _replace(path, kept)
    return kept


def check(path: Path) -> None:
    """Raise SecretsExposed unless only its owner may read the file."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SecretsExposed(
            f"The secrets file {path} can be read by others (mode {mode:04o}). Run `chmod 600 {path}`. If "
            "others use this machine, also stop Millwright and delete every entry but instance_id and db_superuser: "
            "the next start makes them anew."
        )


def _read(path: Path) -> tuple[Secrets, bool]:
    check(path)
    try:
        kept = json.loads(path.read_text("utf-8"))
        names = {name: kept[name] for name in Secrets.__slots__ if name in kept}
        if not all(isinstance(value, str) and value for value in names.values()):
            raise ValueError("a secret is no text")
        if not names.keys() >= LASTING:
            raise ValueError(f"{' and '.join(sorted(LASTING - names.keys()))} missing")
    except (ValueError, TypeError) as error:
        raise SecretsDamaged(
            f"The secrets file {path} cannot be read ({error}). Put it back from a backup; without it the embedded "
            "database cannot be opened. `millwright reset` starts afresh."
        ) from error
    return Secrets(**names), len(names) == len(Secrets.__slots__)


def _create(path: Path, made: Secrets) -> None:
    """Two processes may start at once: the first file wins and both use it."""
    temporary = _write(path, made)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def _replace(path: Path, made: Secrets) -> None:
    _write(path, made).replace(path)
    _sync_folder(path.parent)


def _write(path: Path, made: Secrets) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{random.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as target:
        json.dump(asdict(made), target, indent=2)
        target.flush()
        os.fsync(target.fileno())
    return temporary


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

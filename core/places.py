"""Where a server keeps its files so that the account it runs as can reach them, and nobody else.

An ordinary user keeps everything in the data directory. Root runs servers as another account, and a data directory
under a closed folder such as ``/root`` is out of that account's reach: then the files go to ``/var/lib/millwright``.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from core.errors import ConfigError
from core.processes import User

STATE = Path("/var/lib/millwright")
SOCKET_PATH_MOST = 107 - len("/.s.PGSQL.65535.lock")


class Unreachable(ConfigError):
    """A folder belongs to somebody else."""

    code = "unreachable"


def home(data_dir: Path, name: str, *, instance_id: str, user: User | None) -> Path:
    """The folder of server ``name``, made with mode 0700 and given to ``user``."""
    path = place(data_dir, name, instance_id=instance_id, user=user)
    own(path, user)
    return path


def place(data_dir: Path, name: str, *, instance_id: str, user: User | None) -> Path:
    """Where ``home`` is or would be: in the data directory when ``user`` can reach it, else under the state folder."""
    inside = data_dir.resolve() / name
    if user is None or inside.exists() or reachable(inside.parent, user):
        return inside
    return state_root() / instance_id / name


def own(path: Path, user: User | None) -> None:
    """Make a folder that only ``user`` (None: we) may enter. Raises Unreachable when it is somebody else's."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    wanted = user.uid if user else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (wanted, os.geteuid()):
        raise Unreachable(f"{path} belongs to somebody else. Remove it, or choose another data directory.")
    if user and found.st_uid != user.uid:
        os.chown(path, user.uid, user.gid)
    path.chmod(0o700)


def give(path: Path, user: User | None, *, mode: int = 0o600) -> None:
    """Let only ``user`` read a file."""
    path.chmod(mode)
    if user:
        os.chown(path, user.uid, user.gid)


def reachable(path: Path, user: User) -> bool:
    """Whether ``user`` may enter every folder down to ``path`` (what does not exist yet counts as its parent)."""
    path = path.resolve()
    return all(_allowed(folder, user, stat.S_IXOTH) for folder in (*reversed(path.parents), path) if folder.exists())


def state_root() -> Path:
    """A folder of root's that every account can enter, for what does not fit into the data directory."""
    for root in (STATE, _temporary()):
        try:
            root.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError:
            continue
        if root.lstat().st_uid == os.geteuid() and stat.S_ISDIR(root.lstat().st_mode):
            root.chmod(0o711)
            return root
    raise Unreachable(f"Neither {STATE} nor the temporary folder can be written. Start as an ordinary user instead.")


def socket_folder(home_dir: Path, *, instance_id: str, user: User | None) -> Path:
    """A folder for a Unix socket: ``home_dir/run``, or a short path elsewhere since the kernel allows 107 bytes."""
    path = home_dir / "run"
    if len(os.fsencode(path)) > SOCKET_PATH_MOST:
        path = _short_folder(instance_id)
    own(path, user)
    return path


def forget(instance_id: str) -> None:
    """Delete what an instance keeps outside its data directory; its servers must have stopped."""
    if not instance_id:
        return
    for path in (STATE / instance_id, _temporary() / instance_id, _short_folder(instance_id)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / "millwright-state"


def _short_folder(instance_id: str) -> Path:
    """A short path of the instance's own: under the runtime folder, else the temporary one."""
    runtime = Path("/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR") or "/run")
    temporary = Path("/tmp")  # noqa: S108 - `own` refuses a folder that is not ours
    name = f"millwright-{instance_id}"
    bases = [base for base in (runtime, Path(tempfile.gettempdir())) if os.access(base, os.W_OK)]
    return next((base / name for base in bases if len(os.fsencode(base / name)) <= SOCKET_PATH_MOST), temporary / name)


def _allowed(folder: Path, user: User, other: int) -> bool:
    found = folder.stat()
    if found.st_uid == user.uid:
        return bool(found.st_mode & (other << 6))
    if found.st_gid == user.gid:
        return bool(found.st_mode & (other << 3))
    return bool(found.st_mode & other)

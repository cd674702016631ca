"""A disk whose power can be cut: ext4 on a loop device, shut down without writing its journal.

Needs root. What had not been fsynced is gone after ``mount``, as after a power cut; the file system itself recovers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = (2).to_bytes(4, "little")


def why_not() -> str | None:
    """Why power cuts cannot be drilled here; None when they can."""
    if os.geteuid() != 0:
        return "only root may mount"
    if not (shutil.which("mkfs.ext4") and shutil.which("mount")):
        return "mkfs.ext4 is not installed"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return None


class Disk:
    """``folder`` is where it is mounted; everybody may enter."""

    def __init__(self, image: Path, folder: Path, *, mb: int) -> None:
        self.image, self.folder = image, folder
        with image.open("wb") as file:
            file.truncate(mb << 20)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", image)
        folder.mkdir()
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", self.image, self.folder)
        self.folder.chmod(0o755)

    def cut(self) -> None:
        """From now on every write fails, and what was not on the disk is not."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(handle)

    def unmount(self) -> None:
        """Whoever used it must have ended."""
        _run("umount", self.folder)

    def destroy(self) -> None:
        if os.path.ismount(self.folder):
            subprocess.run(["umount", "-l", self.folder], check=False)
        self.image.unlink(missing_ok=True)


def _run(*words: str | Path) -> None:
    done = subprocess.run([*words], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")

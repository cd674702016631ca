"""First program of every child: become the final user, ask to die with the parent, then become the real program.

Run by path, `python -I -S core/child.py PARENT SIGNAL UID GID PROGRAM ARG…` (UID -1 keeps the user), because the
interpreter may lie where the final user cannot read. The order matters: dropping the user clears the parent-death
signal, so it is asked for afterwards; and a parent that died in between is noticed by its pid.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT_GONE = 125
NOT_FOUND = 127


def main(argv: list[str]) -> int:
    parent, death, uid, gid = (int(text) for text in argv[:4])
    command = argv[4:]
    _become(uid, gid)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death, 0, 0, 0) != 0:
        print(f"child: prctl failed: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return PARENT_GONE
    if os.getppid() != parent:
        return PARENT_GONE
    _plain_signals()
    try:
        os.execvp(command[0], command)  # noqa: S606 - the whole point: no shell, this process becomes the program
    except OSError as error:
        print(f"child: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND


def _become(uid: int, gid: int) -> None:
    if uid < 0:
        return
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _plain_signals() -> None:
    """A shell's `&` hands down an ignored SIGINT, Python an ignored SIGPIPE, a thread a mask: undo all that."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

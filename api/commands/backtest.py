"""The verb `backtest`: what a maintenance policy would have done over the last days, beside what really failed."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from api import up
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.commands.replay import Told, admin_dsn, interrupt, policy_of
from core import clock
from core.settings import settings
from maintenance import backtest as testing
from maintenance.replay import run as running
from maintenance.replay import service as replaying
from maintenance.replay.model import Change


def backtest(argv: list[str]) -> int:
    """Run it, keep the result, and say it in one sentence."""
    asked = _parser().parse_args(argv)
    instance = instance_of(settings())
    database = instance.database
    up.wire()
    signal.signal(signal.SIGTERM, interrupt)
    policy = policy_of(asked.policy)
    with database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with database.tx(site_id=site_id) as conn:
        period = running.period(conn, start=None, end=clock.load(conn).now(), days=asked.days)
        replaying.refuse_small_disk(conn, instance.data_dir, period)
    found = replaying.replay(
        database, admin_dsn(instance), site_id, period=period, change=Change(policy), progress=Told()
    )
    with database.tx(site_id=site_id) as conn:
        days = (period.end - period.start).total_seconds() / 86_400
        result = testing.score(
            found.rows["orders"], testing.truths(conn, period), days=days, machines=testing.machines(conn)
        )
        number = testing.keep(
            conn, testing.config(conn, policy), period, result, by="command line", now=clock.load(conn).now()
        )
    if asked.json:
        print(json.dumps({"backtest_id": number, **result}, indent=2))
        return 0
    lead = "no failure was recorded" if result["lead_h"] is None else f"median lead {result['lead_h']:.0f} h"
    say(
        f"back-test {number}: over {result['days']:.0f} days it would have opened {result['orders']} orders, "
        f"{result['before_real_faults']} of them before real faults, {lead}, "
        f"{result['false_month']:.3f} false per machine and month"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millwright backtest", description="What a maintenance policy would have done over the last days."
    )
    parser.add_argument("--policy", type=Path, help="a TOML or JSON file with settings (default: the policy in force)")
    parser.add_argument("--days", type=float, default=90.0, help="so many days back (default: 90)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--site", help="site code (default: the first site)")
    return parser

"""The verb `backtest`: what a maintenance policy would have done over the last days, beside what really failed."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg import Connection

from api import backtesting, up
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.commands.replay import Told, admin_dsn, interrupt, policy_of
from core import clock
from core.settings import settings
from maintenance import backtest_runs, policies
from maintenance.backtest_runs import Asked, Kept
from maintenance.errors import BacktestOver
from maintenance.policies import Scope


def backtest(argv: list[str]) -> int:
    """Run it, keep the result, and say it in one sentence."""
    asked = _parser().parse_args(argv)
    instance = instance_of(settings())
    up.wire()
    signal.signal(signal.SIGTERM, interrupt)
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with instance.database.tx(site_id=site_id) as conn:
        kept = _new(conn, asked) if asked.run is None else backtest_runs.start(conn, asked.run)
    if kept is None:
        raise BacktestOver(f"Back-test {asked.run} does not wait any more, or another one runs.")
    result = backtesting.run(instance, admin_dsn(instance), site_id, kept, Told())
    _show(kept.backtest_id, result, asked)
    return 0


def _new(conn: Connection, asked: argparse.Namespace) -> Kept | None:
    """One of this command's own: it does not wait for others."""
    scope = Scope(asked.asset_class, asked.mode)
    wanted = Asked(policies.over(conn, scope, policy_of(asked.policy)), scope, asked.let, asked.days)
    made = backtest_runs.ask(conn, wanted, by="command line", now=clock.load(conn).now())
    return backtest_runs.take(conn, made.backtest_id)


def _show(number: int, result: Mapping[str, Any], asked: argparse.Namespace) -> None:
    if asked.json:
        print(json.dumps({"backtest_id": number, **result}, indent=2))
        return
    lead = "no failure was foreseen" if result["lead_h"] is None else f"median lead {result['lead_h']:.0f} h"
    say(
        f"back-test {number}: over {result['days']:.0f} days it would have opened {result['orders']} orders, "
        f"{result['before_real_faults']} of them before real faults, {lead}, "
        f"{result['false_month']:.3f} false per machine and month"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millwright backtest", description="What a maintenance policy would have done over the last days."
    )
    parser.add_argument(
        "--policy", type=Path, help="a TOML or JSON file with settings (default: the policies in force)"
    )
    parser.add_argument(
        "--class", dest="asset_class", default="*", help="the policy's asset class (default: every one)"
    )
    parser.add_argument("--mode", default="*", help="the policy's failure mode (default: every one)")
    parser.add_argument(
        "--let",
        type=int,
        action="append",
        default=[],
        metavar="GATE",
        help="as if this detector version might open orders",
    )
    parser.add_argument("--days", type=float, default=90.0, help="so many days back (default: 90)")
    parser.add_argument("--run", type=int, metavar="ID", help="run one that was asked for over HTTP; it must wait")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--site", help="site code (default: the first site)")
    return parser

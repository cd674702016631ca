"""Back-tests: what settings or a detector's version would have done, asked for, watched, cancelled, kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.routers.policies import ScopeWanted, Settings
from api.shapes import Id, Moment, Output, Ref, Whole
from maintenance import backtest, backtest_runs
from maintenance.backtest_runs import Asked, Kept

routes = router("back-tests")
READ, RUN = [allow("gate.read")], [allow("backtest.run")]

Hash = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")]


class Configuration(ScopeWanted):
    """Settings instead of those of the policy with this scope (none: the policies in force), and with `gate_id` as if
    that detector version might open orders."""

    settings: Settings = Field(default_factory=dict)
    gate_id: Ref | None = None

    def lets(self) -> list[int]:
        return [] if self.gate_id is None else [self.gate_id]


class BacktestWanted(Configuration):
    """`days` back from now."""

    days: Annotated[Whole, Field(ge=1, le=730)] = 90


class BacktestShown(Output):
    """A back-test: `config_hash` names the configuration that it judges; `progress` is a share from 0 to 1 and
    `reached_at` the plant time it has come to; `result` is there when it is done, `why` when it failed."""

    backtest_id: int
    config_hash: str
    config: dict[str, Any]
    from_at: Moment
    until_at: Moment
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    progress: float
    reached_at: Moment | None
    why: str
    result: dict[str, Any] | None
    made_by: str
    made_at: Moment
    ended_at: Moment | None


class Matching(Output):
    """The hash of a configuration as the site is now, and the back-tests that judged just that."""

    config_hash: str
    backtests: list[BacktestShown]


@routes.get("/maintenance/backtests", dependencies=READ)
def list_backtests(ctx: Ctx, config_hash: Hash = None) -> list[BacktestShown]:
    """The last hundred back-tests, newest first."""
    return [_shown(each) for each in backtest_runs.listed(ctx.conn, config_hash=config_hash)]


@routes.post("/maintenance/backtests", status_code=202, dependencies=RUN)
def start_backtest(ctx: Ctx, response: Response, body: BacktestWanted) -> BacktestShown:
    """Ask for a back-test; it runs when those before it are done."""
    asked = Asked(body.settings, body.scope(), body.lets(), body.days)
    made = backtest_runs.ask(ctx.conn, asked, by=ctx.person.login, now=ctx.now)
    response.headers["location"] = f"/api/v1/maintenance/backtests/{made.backtest_id}"
    return _shown(made)


@routes.post("/maintenance/backtests/matching", dependencies=READ)
def matching_backtests(ctx: Ctx, body: Configuration) -> Matching:
    """Which back-tests judged just this configuration; nothing is changed."""
    found = backtest.config(ctx.conn, body.settings, scope=body.scope(), lets=body.lets())
    name = backtest.config_hash(found)
    kept = backtest_runs.listed(ctx.conn, config_hash=name)
    return Matching(config_hash=name, backtests=[_shown(each) for each in kept])


@routes.get("/maintenance/backtests/{backtest_id}", dependencies=READ)
def get_backtest(ctx: Ctx, backtest_id: Id) -> BacktestShown:
    """One back-test, and how far it is."""
    return _shown(backtest_runs.get(ctx.conn, backtest_id))


@routes.post("/maintenance/backtests/{backtest_id}/cancel", dependencies=RUN)
def cancel_backtest(ctx: Ctx, backtest_id: Id) -> BacktestShown:
    """Stop it within seconds, or do not begin it; its sandbox is dropped."""
    return _shown(backtest_runs.cancel(ctx.conn, backtest_id, now=ctx.now))


def _shown(kept: Kept) -> BacktestShown:
    return BacktestShown.model_validate(kept)

"""For machines that watch us: alive, ready, metrics. No sign-in; metrics only from this machine."""

from __future__ import annotations

from collections import Counter

from fastapi import Request, Response
from prometheus_client import CollectorRegistry, Gauge
from starlette.concurrency import run_in_threadpool

from api import auth, backing, health, openapi, pipeline
from api.deps import router
from api.policies import open_to_all
from api.shapes import Output
from core import metrics
from core.clock import wall_now
from core.database import Database, site_ids
from detectors import late

routes = router("health")  # under /api/v1
bare = router("health")  # at the root, where orchestrators look
OPEN = [open_to_all("a watchdog has no account; the answer holds no data")]
SPEC = [open_to_all("the description of the API holds no data")]
MOST_SOURCES = 500  # labels a site; further sources are summed up as one
OTHERS = "(others)"
TROUBLED = ("lost", "silent", "misconfigured")
LOCAL = [open_to_all("answered to this machine alone")]


class CheckShown(Output):
    name: str
    ok: bool
    detail: str


class Health(Output):
    """``status`` is "ok" or "unavailable" (then the HTTP status is 503)."""

    status: str
    checks: list[CheckShown]


@bare.get("/health/live", dependencies=OPEN, operation_id="health_live")
async def live() -> Health:
    """The process answers; restart it when this fails."""
    return Health(status="ok", checks=[])


@bare.get("/health/ready", dependencies=OPEN, operation_id="health_ready")
@routes.get("/health", dependencies=OPEN, operation_id="health")
async def ready(request: Request, response: Response) -> Health:
    """The instance can serve: database, schema and broker are there. Answers within 3 seconds, whatever hangs."""
    probe: health.Probe = request.app.state.probe
    checks = [await probe.database(), health.broker(request.app.state.settings.data_dir)]
    fit = all(check.ok for check in checks)
    response.status_code = 200 if fit else 503
    return Health(status="ok" if fit else "unavailable", checks=[CheckShown.model_validate(each) for each in checks])


@routes.get("/openapi.json", dependencies=SPEC, response_class=Response, operation_id="openapi")
def description(request: Request) -> Response:
    """This document."""
    return Response(openapi.text(request.app), media_type="application/json")


@bare.get("/metrics", dependencies=LOCAL, response_class=Response, operation_id="metrics")
async def prometheus(request: Request) -> Response:
    """Prometheus text: this process, and what the other parts keep in the database."""
    auth.require_loopback(request)
    plant = await run_in_threadpool(_plant, request.app.state.database)
    backing.show(plant, request.app.state.settings)
    text, kind = metrics.exposition(plant)
    return Response(text, media_type=kind)


def _plant(database: Database) -> CollectorRegistry:
    """Gauges of every site, read now."""
    registry = CollectorRegistry()
    way = _Way(registry)
    rate = Gauge("millwright_source_samples_per_second", "Samples a second.", ["site", "source"], registry=registry)
    lag = Gauge(
        "millwright_source_lag_seconds", "Age of the newest sample at arrival.", ["site", "source"], registry=registry
    )
    kept = Gauge(
        "millwright_source_samples", "Samples stored since first heard.", ["site", "source"], registry=registry
    )
    held = Gauge(
        "millwright_quarantine_open", "Quarantined messages not yet settled.", ["site", "reason"], registry=registry
    )
    tickets = Gauge("millwright_tickets", "Tickets by status.", ["site", "status"], registry=registry)
    behind = Gauge("millwright_detector_lag_seconds", "The slowest asset's judgement.", ["site"], registry=registry)
    late_wait = Gauge("millwright_late_waiting", "Assets with late data to judge again.", ["site"], registry=registry)
    late_done = Gauge("millwright_late_judged", "Stretches of late data judged again.", ["site"], registry=registry)
    with database.tx() as conn:
        sites = site_ids(conn)
        codes = dict(conn.execute("select site_id, code from sites").fetchall())
    for site_id in sites:
        site = codes[site_id]
        with database.tx(site_id=site_id) as conn:
            way.show(site, pipeline.sources(conn))
            for each in health.sources(conn)[:MOST_SOURCES]:
                rate.labels(site, each.source).set(each.samples_s)
                lag.labels(site, each.source).set(each.lag_s or 0.0)
                kept.labels(site, each.source).set(each.samples)
            for reason, count in health.quarantine_counts(conn).items():
                held.labels(site, reason).set(count)
            for status, count in health.ticket_counts(conn).items():
                tickets.labels(site, status).set(count)
            again = late.counts(conn)
            late_wait.labels(site).set(again.waiting)
            late_done.labels(site).set(again.judged)
            behind.labels(site).set(health.detector_lag_s(conn) or 0.0)
    return registry


class _Way:
    """Gauges of how each source's data come."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, help_: str) -> Gauge:
            return Gauge(f"millwright_source_{name}", help_, ["site", "source"], registry=registry)

        self._sums = {
            "quarantined": gauge("quarantined", "Readings in quarantine, never released."),
            "duplicates": gauge("duplicates", "Readings that were there already."),
            "dropped": gauge("dropped", "Readings that could be neither stored nor quarantined."),
            "missing": gauge("missing", "Numbered messages that did not come yet."),
            "gaps": gauge("gaps", "Stretches of time that could not be filled."),
            "denied": gauge("denied", "Publishes refused by the broker within the hour."),
            "waiting": gauge("spool_waiting", "Batches in the gateway's spool."),
        }
        self._share = gauge("spool_share_full", "How full the gateway's spool is, 0 to 1.")
        self._age = gauge("silent_seconds", "Wall time since the last sign of life.")
        self._late = gauge("late", "1 while the source's data have come late for a minute.")
        self._state = Gauge("millwright_sources", "Sources by state.", ["site", "state"], registry=registry)

    def show(self, site: str, found: list[pipeline.Health]) -> None:
        now = wall_now()
        states = Counter(each.state for each in found)
        for state in {*states, *TROUBLED}:
            self._state.labels(site, state).set(states[state])
        for name, gauge in self._sums.items():
            for index, each in enumerate(found):
                gauge.labels(site, each.source if index < MOST_SOURCES else OTHERS).inc(getattr(each, name) or 0)
        for each in found[:MOST_SOURCES]:
            if each.share_full is not None:
                self._share.labels(site, each.source).set(each.share_full)
            if each.last_seen is not None:
                self._age.labels(site, each.source).set((now - each.last_seen).total_seconds())
            late = each.lagging_since is not None and now - each.lagging_since > pipeline.LATE_AFTER
            self._late.labels(site, each.source).set(late)

"""One file a room: it reads the request, calls the room, and shapes the answer. No logic."""

from __future__ import annotations

from api.routers import (
    alarms,
    assets,
    attachments,
    devices,
    health,
    knowledge,
    live,
    notifications,
    pipeline,
    predictions,
    quarantine,
    retention,
    search,
    session,
    sources,
    system,
    telemetry,
    tickets,
    users,
    waveforms,
)

ROUTERS = (
    session.routes,
    predictions.routes,
    alarms.routes,
    tickets.routes,
    assets.routes,
    telemetry.routes,
    waveforms.routes,
    knowledge.routes,
    notifications.routes,
    quarantine.routes,
    retention.routes,
    live.routes,
    system.routes,
    pipeline.routes,
    health.routes,
    users.routes,
    devices.routes,
    sources.routes,
    attachments.routes,
    search.routes,
)

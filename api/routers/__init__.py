"""One file a room: it reads the request, calls the room, and shapes the answer. No logic."""

from __future__ import annotations

from api.routers import devices, health, live, session, system, users

ROUTERS = (session.routes, live.routes, system.routes, health.routes, users.routes, devices.routes)

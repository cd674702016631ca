"""What Prometheus may ask: the instruments of this process.

Parts that run as processes of their own keep what others should see in the database; the API's ``/metrics`` reads it
there when it is asked (see ``api.routers.health``).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

requests = Counter(
    "millwright_http_requests", "HTTP requests by route and status.", ["method", "route", "status"], registry=REGISTRY
)
request_seconds = Histogram(
    "millwright_http_request_seconds", "Time to the answer's last byte.", ["route"], buckets=SECONDS, registry=REGISTRY
)
abandoned = Gauge(
    "millwright_http_abandoned", "Requests past their deadline whose thread still waits.", registry=REGISTRY
)
turned_away = Counter(
    "millwright_http_turned_away", "Connections closed without an answer: too many are open.", registry=REGISTRY
)
subscribers = Gauge("millwright_live_subscribers", "Open event streams.", registry=REGISTRY)
dropped = Counter("millwright_live_dropped", "Event streams closed because they read too slowly.", registry=REGISTRY)
live_connected = Gauge("millwright_live_connected", "1 while the database's notices are heard.", registry=REGISTRY)


def exposition(*more: CollectorRegistry) -> tuple[bytes, str]:
    """(text, content type) of this process's instruments and of further registries."""
    return b"".join(generate_latest(registry) for registry in (REGISTRY, *more)), CONTENT_TYPE_LATEST

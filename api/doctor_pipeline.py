"""What the doctor says of the way of the data: sources, gateways, quarantine, drops, the store, certificates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from psycopg import Connection

from api import pipeline
from api.checks import Check, State
from api.pipeline import Health
from core.clock import wall_now
from core.database import site_ids, use_site
from core.tls import Authority
from plant import engine

SPOOL_WARN, SPOOL_FAIL = 0.5, 0.8
MANY_HELD = 1_000  # new quarantine entries an hour
MOST = 5  # of a kind, by name
EXPIRES_SOON = timedelta(days=30)
RENEW_LATEST = timedelta(days=14)


def checks(conn: Connection) -> list[Check]:
    """Look at every site with the app role's connection, in the caller's transaction."""
    found = _engine(conn) + _dropped(conn)
    for site_id in site_ids(conn):
        use_site(conn, site_id)
        found += _of_site(conn)
    return found


def broker_certificate(data_dir: Path) -> list[Check]:
    """The broker's own certificate; each start renews one that ends within 30 days."""
    expires = Authority(data_dir).server_expires()
    if expires is None or expires - wall_now() > RENEW_LATEST:
        return []
    state = State.FAIL if expires < wall_now() else State.WARN
    return [Check("certs", state, f"The broker's certificate ends {expires:%Y-%m-%d}.", "Restart: it is renewed then.")]


def _of_site(conn: Connection) -> list[Check]:
    sources = pipeline.sources(conn)
    found = _many(conn) + _states(sources) + _late(sources) + _spools(sources) + _incomplete(sources)
    found += _quarantine(sources) + _denied(sources) + _certificates(conn)
    if sources and not found:
        heard = sum(each.last_seen is not None for each in sources)
        found.append(Check("sources", State.OK, f"{heard} of {len(sources)} sources have been heard; none is in want."))
    return found


def _many(conn: Connection) -> list[Check]:
    many = pipeline.many(conn)
    if many is None:
        return []
    if many.why == "broker":
        sentence = f"Ingest has no connection to the broker; nothing of {many.count} sources arrives."
        return [Check("sources", State.FAIL, sentence, "See the broker's check below, and logs/ingest.log.")]
    if many.why == "ingest":
        sentence = f"Ingest does not run; nothing of {many.count} sources is stored."
        return [Check("sources", State.FAIL, sentence, "See `parts` above, and logs/ingest.log.")]
    sentence = f"{many.count} sources fell silent at once, {_ago(many.since)} ago."
    return [Check("sources", State.FAIL, sentence, "Look at the network, the broker and the gateways first.")]


def _states(sources: list[Health]) -> list[Check]:
    remedies = {
        "silent": "Look at the device, its power and its network; its order says which tags are without data.",
        "lost": "Check the server's address, its certificate and the network: `millwright source list`.",
        "misconfigured": "Correct it: `millwright source add --replace` with the same name.",
    }
    found = []
    for state, remedy in remedies.items():
        names = [_with_detail(each) for each in sources if each.state == state]
        if names:
            verb = "is" if len(names) == 1 else "are"
            found.append(Check("sources", State.FAIL, f"{_list(names)} {verb} {state}.", remedy))
    return found


def _late(sources: list[Health]) -> list[Check]:
    now = wall_now()
    names = [
        f"{each.source} ({each.lag_s:,.0f} s)"
        for each in sources
        if each.lagging_since and each.lag_s and now - each.lagging_since > pipeline.LATE_AFTER
    ]
    if not names:
        return []
    remedy = "A backlog that drains explains it; else compare the sender's clock, and look at disk and processor here."
    return [Check("lag", State.WARN, f"Data come more than 10 s late from {_list(names)}.", remedy)]


def _spools(sources: list[Health]) -> list[Check]:
    found = []
    for each in sources:
        if each.share_full is None or each.share_full < SPOOL_WARN:
            continue
        state = State.FAIL if each.share_full >= SPOOL_FAIL else State.WARN
        sentence = f"The spool of {each.source} is {each.share_full:.0%} full; {each.waiting:,} batches wait."
        found.append(Check("gateway", state, sentence, "Restore its connection, or raise spool_mb in its file."))
    return found


def _incomplete(sources: list[Health]) -> list[Check]:
    names = [f"{each.source} ({each.missing or each.gaps:,})" for each in sources if each.missing or each.gaps]
    if not names:
        return []
    remedy = "`millwright reconcile` names what is missing; a gateway sends it again by itself while it has it."
    return [Check("gaps", State.WARN, f"Something is missing from {_list(names)}.", remedy)]


def _quarantine(sources: list[Health]) -> list[Check]:
    fresh = [each for each in sources if each.held_fresh]
    count = sum(each.held_fresh for each in fresh)
    if count < MANY_HELD:
        return []
    names = [f"{each.source} ({each.held_fresh:,})" for each in sorted(fresh, key=lambda each: -each.held_fresh)]
    sentence = f"{count:,} entries went to quarantine within the hour, from {_list(names)}."
    return [Check("quarantine", State.WARN, sentence, "The console's Quarantine says why; bind the tags or mend them.")]


def _denied(sources: list[Health]) -> list[Check]:
    names = [f"{each.source} ({each.denied:,})" for each in sources if each.denied]
    if not names:
        return []
    remedy = "They publish under another name than their own: `millwright device list`, logs/broker.log."
    return [Check("broker", State.WARN, f"The broker refused publishes within the hour of {_list(names)}.", remedy)]


def _certificates(conn: Connection) -> list[Check]:
    rows = conn.execute(
        """select d.name, max(c.expires_at) from device_certificates c join devices d using (device_id)
           where c.revoked_at is null and d.revoked_at is null group by 1 having max(c.expires_at) < now() + %s
           order by 2""",
        (EXPIRES_SOON,),
    ).fetchall()
    if not rows:
        return []
    names = [f"{name} ({expires:%Y-%m-%d})" for name, expires in rows]
    state = State.FAIL if rows[0][1] < wall_now() else State.WARN
    sentence = f"Certificates end soon, or have ended: {_list(names)}."
    return [Check("certs", state, sentence, "Issue new ones with `millwright device`, and install them.")]


def _dropped(conn: Connection) -> list[Check]:
    names = [
        f"{each.site or '?'}/{each.device or '?'} ({each.count:,} {each.reason})" for each in pipeline.dropped(conn)
    ]
    if not names:
        return []
    remedy = "Correct the site in the sender's topic; `millwright reconcile` lists them."
    return [Check("dropped", State.WARN, f"Messages were dropped from {_list(names)}.", remedy)]


def _engine(conn: Connection) -> list[Check]:
    found = engine.describe(conn)
    return [Check("store", State.OK, each.sentence["en"]) for each in found if each.on or each.name == "hypertable"]


def _with_detail(each: Health) -> str:
    if each.state == "silent" and each.last_seen:
        return f"{each.source} (for {_ago(each.last_seen)})"
    return f"{each.source} ({each.detail[:80]})" if each.detail else each.source


def _ago(when: datetime) -> str:
    seconds = (wall_now() - when).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _list(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - MOST:,} more" if len(shown) > MOST else ""
    return ", ".join(shown[:MOST]) + more

"""Production windows in the database: inherited, costed, never overlapping, and what dispatch makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from psycopg import Connection

from core.errors import NotFound, Stale
from plant import stops, windows
from plant.errors import AssetNotFound, BadWindow
from plant.model import Window
from plant.windows import Kind, Rule, Weekly

T0 = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
H = timedelta(hours=1)
NIGHT = Weekly("Europe/Berlin", (0, 1, 2, 3, 4), 22 * 60, 480, date(2026, 3, 2))


def tree(conn: Connection) -> tuple[int, int, int]:
    """A line, a unit in it and a component of that."""
    found: list[int] = []
    for code, level in (("L1", "line"), ("P-1", "unit"), ("P-1-B", "component")):
        row = conn.execute(
            "insert into assets (code, name, class, parent_id, level) values (%s, %s, '', %s, %s) returning asset_id",
            (code, code, found[-1] if found else None, level),
        ).fetchone()
        assert row
        found.append(row[0])
    return found[0], found[1], found[2]


def test_windows_and_shutdowns_hold_for_what_is_below(conn: Connection) -> None:
    line, unit, component = tree(conn)
    stops.put(conn, Rule(line, NIGHT, 120.0))
    stops.put(conn, Rule(line, Window(T0 + 110 * H, T0 + 134 * H), 0.0, Kind.SHUTDOWN, "spring"))
    stops.set_cost(conn, line, 900.0)
    found = stops.openings(conn, component, start=T0, end=T0 + 200 * H)
    stop = windows.next_stop(found, after=T0, lasting=8 * H)
    assert stop
    assert (stop.start, stop.cost_h) == (datetime(2026, 3, 2, 21, tzinfo=UTC), 120.0)
    long = windows.next_stop(found, after=T0, lasting=12 * H)
    assert long
    assert (long.start, long.kind, long.cost_h) == (T0 + 110 * H, Kind.SHUTDOWN, 0.0)
    stops.put(conn, Rule(unit, Window(T0 + 5 * H, T0 + 6 * H)))
    own = stops.openings(conn, component, start=T0, end=T0 + 99 * H)
    assert [each.start for each in own] == [T0 + 5 * H]


def test_what_may_always_stop_costs_what_was_declared_above(conn: Connection) -> None:
    line, unit, _ = tree(conn)
    stops.set_cost(conn, line, 900.0)
    found = stops.openings(conn, unit, start=T0, end=T0 + 10 * H)
    assert windows.stop_cost(found, T0, T0 + 2 * H) == pytest.approx(1800.0)
    stops.set_cost(conn, line, None)
    assert windows.stop_cost(stops.openings(conn, unit, start=T0, end=T0 + 10 * H), T0, T0 + H) == 0


def test_overlapping_windows_are_refused_and_nothing_is_half_kept(conn: Connection) -> None:
    line, unit, _ = tree(conn)
    kept = stops.put(conn, Rule(line, NIGHT))
    with pytest.raises(BadWindow, match="L1 has a window that overlaps this one, first on 2026-03-03 21:00 UTC"):
        stops.put(conn, Rule(line, Window(T0 + 30 * H, T0 + 46 * H)))
    with pytest.raises(BadWindow, match="negative"):
        stops.put(conn, Rule(line, Window(T0, T0 + H), -1.0))
    with pytest.raises(BadWindow, match="negative"):
        stops.set_cost(conn, line, -1.0)
    with pytest.raises(AssetNotFound):
        stops.put(conn, Rule(987654, NIGHT))
    stops.put(conn, Rule(unit, NIGHT))
    assert [each.window_id for each in stops.find(conn, line)] == [kept.window_id]


def test_a_change_names_the_version_that_it_saw(conn: Connection) -> None:
    line, _, _ = tree(conn)
    kept = stops.put(conn, Rule(line, NIGHT))
    changed = stops.change(conn, kept.window_id, Rule(line, NIGHT, 50.0), version=1)
    assert (changed.version, changed.rule.cost_h) == (2, 50.0)
    with pytest.raises(Stale):
        stops.change(conn, kept.window_id, Rule(line, NIGHT, 60.0), version=1)
    with pytest.raises(Stale):
        stops.remove(conn, kept.window_id, version=1)
    stops.remove(conn, kept.window_id, version=2)
    with pytest.raises(NotFound):
        stops.get(conn, kept.window_id)

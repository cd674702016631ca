"""What sources tell beside samples, kept by the ingest role: marks, gaps, status codes, offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import Connection

from edge.kinds import Fill, Gap, TagStatus
from plant.telemetry import from_us

STATUSES_A_TAG = 50  # newest stretches that are kept
GAPS_A_SOURCE = 500


def load_marks(conn: Connection, site_id: int, source: str) -> dict[str, int]:
    """Tag → µs up to which nothing is missing; a tag without a mark has the time of its signal's last value."""
    rows = conn.execute(
        """select tag, coalesce(m.through_us, (extract(epoch from v.at) * 1000000)::int8)
           from (select tag, signal_id from bindings where site_id = %(site)s and source = %(source)s) as b
             full join (select tag, through_us from source_marks
               where site_id = %(site)s and source = %(source)s) as m using (tag)
             left join last_values v using (signal_id)
           where m.through_us is not null or v.at is not null""",
        {"site": site_id, "source": source},
    )
    return {str(tag): int(through) for tag, through in rows}


def save_marks(conn: Connection, site_id: int, source: str, marks: Mapping[str, int]) -> None:
    """Marks only advance."""
    if not marks:
        return
    conn.execute(
        """insert into source_marks as m (site_id, source, tag, through_us)
           select %s, %s, t.tag, t.through from unnest(%s::text[], %s::int8[]) as t(tag, through)
           on conflict (site_id, source, tag) do update set through_us = greatest(m.through_us, excluded.through_us)""",
        (site_id, source, list(marks), list(marks.values())),
    )


def save_gap(conn: Connection, site_id: int, source: str, gap: Gap) -> None:
    """Write a gap down, or what became of it. One that was left open when the line broke again shares its fate: marks
    had not passed it, so this filling began there."""
    conn.execute(
        """insert into source_gaps (site_id, source, from_at, until_at, tags, fill, samples, why)
           values (%s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, source, from_at) do update set until_at = excluded.until_at, tags = excluded.tags,
             fill = excluded.fill, samples = excluded.samples, why = excluded.why, told_at = now()""",
        (site_id, source, from_us(gap.from_us), from_us(gap.until_us), gap.tags, gap.fill, gap.samples, gap.why[:500]),
    )
    if gap.fill is not Fill.OPEN:
        conn.execute(
            """update source_gaps set fill = %s, why = %s, told_at = now()
               where site_id = %s and source = %s and fill = 'open' and from_at < %s""",
            (gap.fill, gap.why[:500], site_id, source, from_us(gap.from_us)),
        )
    conn.execute(
        """delete from source_gaps where site_id = %s and source = %s and from_at < (
             select from_at from source_gaps where site_id = %s and source = %s
             order by from_at desc offset %s limit 1)""",
        (site_id, source, site_id, source, GAPS_A_SOURCE),
    )


def save_statuses(conn: Connection, site_id: int, source: str, told: Sequence[TagStatus]) -> None:
    """A code begins a stretch and ends the one before; good only ends it. Of a tag that flutters the newest stay."""
    newest: dict[str, list[TagStatus]] = {}
    for each in told:
        newest.setdefault(each.tag, []).append(each)
    for tag, changes in newest.items():
        for each in changes[-STATUSES_A_TAG:]:
            _save_status(conn, (site_id, source, tag), each)
    conn.execute(
        """delete from signal_status s using (
             select tag, from_at, row_number() over (partition by tag order by from_at desc) as place
             from signal_status where site_id = %s and source = %s and tag = any(%s)) as old
           where s.site_id = %s and s.source = %s and s.tag = old.tag and s.from_at = old.from_at and old.place > %s""",
        (site_id, source, list(newest), site_id, source, STATUSES_A_TAG),
    )


def _save_status(conn: Connection, where: tuple[int, str, str], each: TagStatus) -> None:
    at = from_us(each.at_us)
    until = None if each.until_us is None else from_us(each.until_us)
    if until is None:
        conn.execute(
            """update signal_status set until_at = greatest(from_at, %s)
               where site_id = %s and source = %s and tag = %s and until_at is null""",
            (at, *where),
        )
    if each.code:
        conn.execute(
            """insert into signal_status as s (site_id, source, tag, from_at, code, name, until_at)
               values (%s, %s, %s, %s, %s, %s, %s) on conflict (site_id, source, tag, from_at) do update
               set code = excluded.code, name = excluded.name,
                 until_at = case when s.until_at is null and excluded.code = s.code then s.until_at
                   else excluded.until_at end""",
            (*where, at, each.code, each.name, until),
        )

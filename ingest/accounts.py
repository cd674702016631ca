"""SQL of the counts: a row a source in each flush's transaction, folded into totals about once a second.

flush ──count──> source_tallies ──fold──> source_counts (hours), source_status (totals)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import Connection
from psycopg.types.json import Jsonb

from edge.codecs import health
from ingest.counts import Counted, columns


def count(conn: Connection, counted: Sequence[Counted]) -> None:
    """Write down what a flush did, in its transaction."""
    if not counted:
        return
    conn.execute(
        """insert into source_tallies (site_id, source, heard, messages, unsequenced, repeated, samples, quarantined,
             twins, released, dropped)
           select * from unnest(%s::int[], %s::text[], %s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::int8[],
             %s::int8[], %s::int8[], %s::int8[], %s::int8[])""",
        columns(counted),
    )


def fold(conn: Connection) -> None:
    """Add the tallies to the totals. Several processes may fold at once: each tally is folded by one of them."""
    conn.execute(
        """with gone as (delete from source_tallies returning *),
           summed as (
             select site_id, source, sum(heard) as heard, sum(messages) as messages, sum(unsequenced) as unsequenced,
               sum(repeated) as repeated, sum(samples) as samples, sum(quarantined) as quarantined,
               sum(twins) as twins, sum(released) as released, sum(dropped) as dropped
             from gone group by 1, 2 order by 1, 2),
           by_hour as (
             insert into source_counts as c (site_id, source, hour, heard, messages, unsequenced, repeated, samples,
               quarantined, twins, released, dropped)
             select site_id, source, date_trunc('hour', now(), 'UTC'), heard, messages, unsequenced, repeated, samples,
               quarantined, twins, released, dropped from summed
             on conflict (site_id, source, hour) do update set heard = c.heard + excluded.heard,
               messages = c.messages + excluded.messages, unsequenced = c.unsequenced + excluded.unsequenced,
               repeated = c.repeated + excluded.repeated, samples = c.samples + excluded.samples,
               quarantined = c.quarantined + excluded.quarantined, twins = c.twins + excluded.twins,
               released = c.released + excluded.released, dropped = c.dropped + excluded.dropped)
           insert into source_status as s (site_id, source, messages, samples, quarantined, duplicates, unsequenced,
             repeated, released, dropped)
           select site_id, source, messages, samples, quarantined, twins + repeated, unsequenced, repeated, released,
             dropped from summed
           on conflict (site_id, source) do update set messages = s.messages + excluded.messages,
             samples = s.samples + excluded.samples, quarantined = s.quarantined + excluded.quarantined,
             duplicates = s.duplicates + excluded.duplicates, unsequenced = s.unsequenced + excluded.unsequenced,
             repeated = s.repeated + excluded.repeated, released = s.released + excluded.released,
             dropped = s.dropped + excluded.dropped"""
    )


def beat(conn: Connection) -> None:
    """We live."""
    conn.execute("insert into ingest_heartbeat default values on conflict (only_row) do update set at = now()")


def rate(conn: Connection) -> None:
    """Samples a second of each source since this was last done: where several processes store, none knows it alone."""
    conn.execute(
        """update source_status set rated = samples, rated_at = now(),
             rate = case when rated_at is null then rate
               else (samples - rated) / greatest(extract(epoch from now() - rated_at), 0.1) end
           where samples <> rated or rate <> 0"""
    )


def write_report(conn: Connection, site_id: int, source: str, told: health.State) -> None:
    """What a gateway says of itself. Within an epoch its numbers only grow: an old report changes nothing."""
    sources = [
        {"name": each.name, "kind": each.kind, "state": each.state, "last_heard_us": each.last_heard_us,
         "rate": each.rate}
        for each in told.sources
    ]  # fmt: skip
    conn.execute(
        """insert into gateway_reports (site_id, source, epoch, seq, samples, waiting, share_full, refused, sources)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, source, epoch) do update set seq = excluded.seq, samples = excluded.samples,
             waiting = excluded.waiting, share_full = excluded.share_full, refused = excluded.refused,
             sources = excluded.sources, told_at = now()
           where excluded.seq >= gateway_reports.seq""",
        (site_id, source, told.epoch, told.seq, told.samples, told.waiting, told.share_full, told.refused,
         Jsonb(sources)),
    )  # fmt: skip


def write_missing(conn: Connection, missing: Mapping[tuple[int, str], int]) -> None:
    """How many numbers of each source's newest epoch have not come yet."""
    if missing:
        conn.execute(
            """update source_status s set missing = t.count
               from unnest(%s::int[], %s::text[], %s::int8[]) as t(site, name, count)
               where s.site_id = t.site and s.source = t.name and s.missing <> t.count""",
            ([key[0] for key in missing], [key[1] for key in missing], list(missing.values())),
        )

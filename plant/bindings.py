"""Which tags bring which signals, after a tag or a device has got another name. SQL; on the current site.

A signal keeps its id, and with it its samples, its plots and what the detectors know, whatever tag brings it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection

from core.errors import Conflict, NotFound


class TagTaken(Conflict):
    """Another tag has that name already. Unbind it first, or give another name."""

    code = "tag_taken"


class TagNotBound(NotFound):
    """No such tag is bound on this site. `millwright tag list` shows those that are."""

    code = "tag_not_bound"


@dataclass(frozen=True, slots=True)
class Bound:
    """A tag and the signal it brings."""

    source: str
    tag: str
    signal_id: int
    asset: str
    signal: str
    unit: str
    scale: float
    offset: float


def listed(conn: Connection, *, source: str | None = None) -> list[Bound]:
    """Every binding (of one source), by source and tag."""
    rows = conn.execute(
        """select b.source, b.tag, b.signal_id, a.code, s.code, b.unit, b.scale, b."offset"
           from bindings b join signals s using (signal_id) join assets a using (asset_id)
           where %(source)s::text is null or b.source = %(source)s order by b.source, b.tag""",
        {"source": source},
    )
    return [Bound(*row) for row in rows]


def move(conn: Connection, source: str, tag: str | None = None, *, to_source: str, to_tag: str | None = None) -> int:
    """A tag has another name from now on, or (without ``tag``) all tags of a device that was renamed; how many.

    What comes under the old name is unknown from then on; what waits in quarantine under the new one is released.
    Raises TagNotBound, TagTaken.
    """
    moving = [each.tag for each in listed(conn, source=source) if tag is None or each.tag == tag]
    if not moving:
        raise TagNotBound(f"{source!r} has no bound tag{'' if tag is None else f' {tag!r}'} on this site.")
    names = [each if to_tag is None else to_tag for each in moving]
    _refuse_taken(conn, source, moving, to_source, names)
    conn.execute(
        """update bindings b set source = %s, tag = t.new from unnest(%s::text[], %s::text[]) as t(old, new)
           where b.source = %s and b.tag = t.old""",
        (to_source, moving, names, source),
    )
    return len(moving)


def is_known(conn: Connection, source: str) -> bool:
    """Whether a device or a source of this name is there, or was ever heard."""
    row = conn.execute(
        """select exists (select from devices where name = %(name)s)
             or exists (select from sources where name = %(name)s)
             or exists (select from source_status where source = %(name)s)""",
        {"name": source},
    ).fetchone()
    return bool(row and row[0])


def unbind(conn: Connection, source: str, tag: str) -> None:
    """The tag brings nothing any more; its signal and samples stay. Raises TagNotBound."""
    if conn.execute("delete from bindings where source = %s and tag = %s", (source, tag)).rowcount == 0:
        raise TagNotBound(f"{source!r} has no bound tag {tag!r} on this site.")


def _refuse_taken(conn: Connection, source: str, tags: Sequence[str], to_source: str, names: Sequence[str]) -> None:
    if to_source == source and list(names) == list(tags):
        return
    row = conn.execute(
        "select tag from bindings where source = %s and tag = any(%s) limit 1", (to_source, list(names))
    ).fetchone()
    if row is not None:
        raise TagTaken(f"{to_source!r} has a bound tag {row[0]!r} already. Unbind it first, or give another name.")
